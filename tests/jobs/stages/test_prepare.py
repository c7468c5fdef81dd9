"""Prepare: what is read, what is dropped and why, and what the blocks hold."""

import gzip
import json
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from modelrefresh.contract import stage_request
from modelrefresh.contract.stages.prepare import PrepareInput, PrepareSummary
from modelrefresh.contract.vocabulary import Sampling, Stage
from modelrefresh_jobs.attempt import stage_module
from modelrefresh_jobs.corpus import candidates, packing
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.stages import prepare
from modelrefresh_jobs.storage import run_folders, sealed
from tests.jobs import builders, corpora


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return builders.tiny_model(tmp_path_factory.mktemp("models") / "base")


def asked(root: pathlib.Path, base: pathlib.Path, **changes: Any) -> stage_request.StageRequest:  # noqa: ANN401
    settings = {"data": f"file://{root / 'data'}", "sequence_length": 32, "max_tokens": 1_000_000} | changes
    return builders.request(
        root / "ws",
        Stage.PREPARE,
        section=PrepareInput(base=builders.uri(base), **settings),
    )


def run(root: pathlib.Path, base: pathlib.Path, **changes: Any) -> PrepareSummary:  # noqa: ANN401
    return stage_module.run(asked(root, base, **changes), builders.quiet(Stage.PREPARE))


def run_today(request: stage_request.StageRequest) -> PrepareSummary:
    folders = run_folders.of(request)
    return prepare.run(request.section, folders, builders.quiet(Stage.PREPARE), today=corpora.TODAY)


def blocks(root: pathlib.Path, base: pathlib.Path) -> packing.Blocks:
    return packing.load(run_folders.of(asked(root, base)).blocks)


def documents_in(packed: packing.Blocks) -> list[str]:
    tokens, marks = packed[0].ravel(), packed[1].ravel()
    kept = tokens[marks != packing.PADDING]
    starts = np.flatnonzero(marks[marks != packing.PADDING] == packing.START)
    decode = builders.tiny_tokenizer().decode
    return [decode(part, skip_special_tokens=True) for part in np.split(kept, starts)[1:]]


def test_every_document_is_in_the_blocks_once_and_only_the_last_block_is_padded(
    tmp_path: pathlib.Path, base: pathlib.Path
) -> None:
    texts = corpora.sentences(40)
    corpora.texts(tmp_path / "data" / "a.jsonl", texts)
    summary = run(tmp_path, base)
    packed = blocks(tmp_path, base)
    assert documents_in(packed) == texts
    assert summary.kept == summary.documents == 40
    assert summary.tokens == int((packed[1] != packing.PADDING).sum())
    assert not (packed[1][:-1] == packing.PADDING).any()


def test_jsonl_gzip_parquet_and_text_files_are_read_and_others_are_not(
    tmp_path: pathlib.Path, base: pathlib.Path
) -> None:
    texts = corpora.sentences(8)
    folder = tmp_path / "data"
    corpora.texts(folder / "a.jsonl", texts[:2])
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(json.dumps({"text": texts[2]}).encode()))
    parquet.write_table(pa.table({"text": texts[3:5], "other": [1, 2]}), folder / "c.parquet")
    (folder / "d.txt").write_text(texts[5] + "\n\n" + texts[6])
    (folder / "e.md").write_text("not read")
    assert run(tmp_path, base).documents == 6
    assert documents_in(blocks(tmp_path, base))[-1] == texts[5] + "\n\n" + texts[6]


def test_empty_short_duplicate_and_near_duplicate_documents_are_counted_by_reason(
    tmp_path: pathlib.Path, base: pathlib.Path
) -> None:
    long = " ".join(f"word{index}" for index in range(200))
    corpora.texts(tmp_path / "data" / "a.jsonl", ["", "too short", long, long + "  ", long + " more", "x" * 40])
    summary = run(tmp_path, base)
    assert summary.dropped == {"empty": 1, "too_short": 1, "duplicate": 1, "near_duplicate": 1}
    assert (summary.documents, summary.kept) == (6, 2)


def test_documents_beyond_the_token_budget_are_left_out_and_counted(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    corpora.texts(tmp_path / "data" / "a.jsonl", corpora.sentences(50))
    summary = run(tmp_path, base, max_tokens=600)
    assert summary.tokens <= 600
    assert summary.kept + summary.dropped["over_budget"] == 50
    assert summary.kept > 3


def test_replay_takes_its_percentage_of_the_blocks_and_is_spread_evenly(
    tmp_path: pathlib.Path, base: pathlib.Path
) -> None:
    corpora.texts(tmp_path / "data" / "a.jsonl", corpora.sentences(60))
    replay = corpora.texts(tmp_path / "replay" / "a.jsonl", corpora.sentences(300, seed=7))
    summary = run(tmp_path, base, replay=f"file://{replay}", replay_percent=25)
    assert summary.replay_tokens / summary.tokens == pytest.approx(0.25, abs=0.01)
    flags = [is_replay for is_replay, _ in packing.interleave(75, 25)]
    assert all(sum(flags[start : start + 4]) == 1 for start in range(0, 100, 4))


def test_equal_input_gives_equal_blocks(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    digests = []
    for name in ("one", "two"):
        corpora.texts(tmp_path / name / "data" / "a.jsonl", corpora.sentences(30))
        replay = corpora.texts(tmp_path / name / "replay" / "a.jsonl", corpora.sentences(200, seed=3))
        run(tmp_path / name, base, replay=f"file://{replay}", replay_percent=20)
        digests.append(sealed.read(run_folders.of(asked(tmp_path / name, base)).blocks).digest)
    assert digests[0] == digests[1]


def test_the_number_of_threads_does_not_change_the_blocks(
    tmp_path: pathlib.Path, base: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = corpora.sentences(400)
    monkeypatch.setattr(candidates, "_BATCH_CHARACTERS", 500)
    corpora.texts(tmp_path / "data" / "a.jsonl", [*texts, *(f"{' '.join(texts[i : i + 3])} x" for i in range(60))])
    digests = set()
    for threads in ("1", "3", "8"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        run(tmp_path / threads, base, data=f"file://{tmp_path / 'data'}")
        digests.add(sealed.read(run_folders.of(asked(tmp_path / threads, base)).blocks).digest)
    assert len(digests) == 1


def test_data_in_another_order_is_reported_as_unchanged_and_not_packed(
    tmp_path: pathlib.Path, base: pathlib.Path
) -> None:
    texts = corpora.sentences(20)
    data = corpora.texts(tmp_path / "data" / "a.jsonl", texts)
    first = run(tmp_path, base)
    corpora.texts(data, texts[::-1])
    again = run(tmp_path / "again", base, data=f"file://{data}", unchanged_fingerprint=first.fingerprint)
    assert again.unchanged
    assert again.blocks == 0
    assert not run_folders.of(asked(tmp_path / "again", base)).blocks.exists()


def test_another_document_or_block_length_is_a_change(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    texts = corpora.sentences(20)
    data = corpora.texts(tmp_path / "data" / "a.jsonl", texts)
    first = run(tmp_path, base).fingerprint
    longer = run(tmp_path, base, sequence_length=64, unchanged_fingerprint=first)
    corpora.texts(data, [*texts, "one more document that was not there before"])
    more = run(tmp_path, base, unchanged_fingerprint=first)
    assert not longer.unchanged
    assert not more.unchanged


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        (b'{"text": "cut', "not JSON"),
        (b'{"body": "a text under another name"}', "not among its 1 fields"),
        (b'{"text": 7}', "'text' is int"),
        (b'{"text": "\xff\xfe"}', "is not UTF-8"),
        (b"[1]", "expected an object"),
    ],
)
def test_a_broken_record_stops_the_stage_with_its_place_and_what_was_seen(
    tmp_path: pathlib.Path, base: pathlib.Path, line: bytes, seen: str
) -> None:
    data = corpora.texts(tmp_path / "data" / "a.jsonl", corpora.sentences(3))
    data.write_bytes(data.read_bytes() + line + b"\n")
    with pytest.raises(StageError) as caught:
        run(tmp_path, base)
    assert caught.value.reason == "DataUnreadable"
    assert f"{data}:4" in str(caught.value)
    assert seen in str(caught.value)


def test_the_first_three_faults_are_listed(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    data = tmp_path / "data" / "a.jsonl"
    data.parent.mkdir()
    data.write_text("no\n" * 5)
    with pytest.raises(StageError) as caught:
        run(tmp_path, base)
    assert [f"{data}:{number}" in str(caught.value) for number in (1, 2, 3, 4)] == [True, True, True, False]


@pytest.mark.parametrize("missing", ["data", "replay", "base", "suite"])
def test_blocks_of_before_stay_where_a_source_is_not_there(
    tmp_path: pathlib.Path, base: pathlib.Path, missing: str
) -> None:
    corpora.texts(tmp_path / "data" / "a.jsonl", corpora.sentences(9))
    run(tmp_path, base)
    nowhere = tmp_path / "typo"
    changes: dict[str, dict[str, Any]] = {
        "data": {"data": f"file://{nowhere}"},
        "replay": {"replay": f"file://{nowhere}", "replay_percent": 5},
        "suite": {"suites": (corpora.suite(nowhere),)},
        "base": {},
    }
    with pytest.raises(StageError, match="does not exist"):
        run(tmp_path, nowhere if missing == "base" else base, **changes[missing])
    assert sealed.is_sealed(run_folders.of(asked(tmp_path, base)).blocks)


def test_blocks_of_before_go_where_the_data_are_damaged(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    data = corpora.texts(tmp_path / "data" / "a.jsonl", corpora.sentences(9))
    run(tmp_path, base)
    data.write_text("not JSON\n")
    with pytest.raises(StageError, match="not JSON"):
        run(tmp_path, base)
    assert not run_folders.of(asked(tmp_path, base)).blocks.exists()


def test_a_folder_without_texts_is_no_data(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    corpora.texts(tmp_path / "data" / "a.jsonl", ["", "short"])
    with pytest.raises(StageError, match=r"2 documents read, none kept \(empty 1, too_short 1\)") as caught:
        run(tmp_path, base)
    assert caught.value.reason == "NoData"


def test_when_the_budget_does_not_hold_all_the_newest_are_learnt_and_told(
    tmp_path: pathlib.Path, base: pathlib.Path
) -> None:
    old, new = corpora.sentences(30), corpora.sentences(30, seed=1)
    corpora.texts(tmp_path / "data" / "2024.jsonl", old, date="2024-01-01")
    corpora.texts(tmp_path / "data" / "2026.jsonl", new, date="2026-06-01")
    needed = run(tmp_path / "all", base, data=f"file://{tmp_path / 'data' / '2026.jsonl'}").tokens
    summary = run(tmp_path, base, max_tokens=needed)
    assert documents_in(blocks(tmp_path, base)) == new
    assert (summary.newest, summary.dropped) == ("2026-06-01T00:00:00+00:00", {"over_budget": 30})
    assert (summary.tokens, summary.cut) == (needed, 0)


def test_dates_after_the_day_of_intake_do_not_count_and_are_counted(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    one, two, three = corpora.sentences(3)
    dates = {one: "9999-12-31T23:59:59Z", two: "2026-11-26", three: "2026-11-27"}
    corpora.write(tmp_path / "data" / "a.jsonl", [{"text": text, "date": date} for text, date in dates.items()])
    summary = run_today(asked(tmp_path, base))
    assert (summary.newest, summary.unusable_dates) == ("2026-11-26T00:00:00+00:00", 2)


def test_only_dates_that_cannot_be_used_are_counted_whatever_becomes_of_their_documents(
    tmp_path: pathlib.Path, base: pathlib.Path
) -> None:
    [text] = corpora.sentences(1)
    records = [(text, "2026-01-01"), (text, "2026-01-02"), ("", "2026-01-01"), ("Hi.", "2026-01-01"), ("", "soon")]
    corpora.write(tmp_path / "data" / "a.jsonl", [{"text": text, "date": date} for text, date in records])
    summary = run_today(asked(tmp_path, base))
    assert summary.dropped == {"duplicate": 1, "empty": 2, "too_short": 1}
    assert (summary.newest, summary.unusable_dates) == ("2026-01-02T00:00:00+00:00", 1)


@pytest.mark.parametrize(
    ("sampling", "budget", "told"),
    [
        (Sampling.NEWEST, 300, True),
        (Sampling.UNIFORM, 300, False),
        (Sampling.NEWEST, 1_000_000, False),
    ],
)
def test_where_the_newest_are_wanted_the_undated_that_come_last_are_told(
    tmp_path: pathlib.Path, base: pathlib.Path, sampling: Sampling, budget: int, *, told: bool
) -> None:
    texts = corpora.sentences(20)
    dated: list[dict[str, object]] = [{"text": text, "date": "2026-01-01"} for text in texts[:3]]
    corpora.write(tmp_path / "data" / "a.jsonl", dated + [{"text": text, "ts": "2026-06-01"} for text in texts[3:]])
    progress = builders.quiet(Stage.PREPARE)
    stage_module.run(asked(tmp_path, base, sampling=sampling, max_tokens=budget), progress)
    said = [text for text in progress.warnings if "17 of 20 documents have no usable date" in text]
    assert bool(said) is told
    assert all("published_at" in text for text in said)


def test_replay_that_is_the_new_text_again_is_told(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    texts = corpora.sentences(20)
    corpora.texts(tmp_path / "data" / "a.jsonl", texts)
    replay = corpora.texts(tmp_path / "replay" / "a.jsonl", texts[:4] + corpora.sentences(2, seed=7))
    progress = builders.quiet(Stage.PREPARE)
    stage_module.run(asked(tmp_path, base, replay=f"file://{replay}", replay_percent=40), progress)
    assert [text for text in progress.warnings if "4 of 6 documents of replay stand among the new" in text]


def test_without_a_day_the_day_is_today(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    corpora.texts(tmp_path / "data" / "a.jsonl", corpora.sentences(3), date="9999-12-31")
    summary = run(tmp_path, base)
    assert (summary.newest, summary.unusable_dates) == (None, 3)


def test_files_that_are_not_read_are_counted_in_the_result(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    corpora.texts(tmp_path / "data" / "a.jsonl", corpora.sentences(3))
    for name in ("b.csv", "README.md", "c.jsonl.xz", "d.csv"):
        (tmp_path / "data" / name).write_text("x")
    summary = run(tmp_path, base)
    assert (summary.ignored_files, summary.ignored_examples) == (4, "README.md, b.csv, c.jsonl.xz")


def test_the_model_owner_is_warned_of_what_is_left_out(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    corpora.texts(tmp_path / "data" / "a.jsonl", corpora.sentences(20))
    (tmp_path / "data" / "b.csv").touch()
    progress = builders.quiet(Stage.PREPARE)
    summary = stage_module.run(asked(tmp_path, base, max_tokens=300), progress)
    said = " ".join(progress.warnings)
    assert "1 files are not read: b.csv" in said
    assert f"{summary.dropped['over_budget']} of 20 documents do not fit into 300 tokens" in said


def test_overlap_counts_what_is_learnt_and_replay_is_learnt_too(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    learnt, left_out, replayed = corpora.sentences(3)
    corpora.write(
        tmp_path / "data" / "a.jsonl",
        [{"text": learnt, "date": "2026-01-01"}, {"text": left_out, "date": "2025-01-01"}],
    )
    replay = corpora.texts(tmp_path / "replay" / "a.jsonl", [replayed])
    budget = 2 * run(tmp_path / "one", base, data=f"file://{replay}").tokens + 9
    items = [{"question": text, "answer": "x"} for text in (learnt, left_out, replayed)]
    suite = corpora.suite(corpora.write(tmp_path / "facts.jsonl", items))
    changes = {"replay": f"file://{replay}", "replay_percent": 50, "max_tokens": budget, "suites": (suite,)}
    summary = run(tmp_path, base, **changes)
    assert (summary.kept, summary.blocks > 0) == (1, True)
    assert summary.overlap == {"facts": 0.6667}


def test_sampling_is_part_of_what_makes_data_unchanged(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    corpora.texts(tmp_path / "data" / "a.jsonl", corpora.sentences(3))
    first = run(tmp_path, base).fingerprint
    assert run(tmp_path, base, sampling=Sampling.NEWEST, unchanged_fingerprint=first).unchanged
    assert not run(tmp_path, base, sampling=Sampling.UNIFORM, unchanged_fingerprint=first).unchanged


def test_the_newest_date_is_the_freshness_of_the_data(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    corpora.texts(tmp_path / "data" / "a.jsonl", corpora.sentences(3), date="2025-03-01")
    corpora.texts(tmp_path / "data" / "b.jsonl", corpora.sentences(3, seed=1), date="2026-01-01T12:00:00+02:00")
    assert run(tmp_path, base).newest == "2026-01-01T10:00:00+00:00"


def test_overlap_is_the_share_of_items_whose_words_stand_in_the_training_text(
    tmp_path: pathlib.Path, base: pathlib.Path
) -> None:
    texts = corpora.sentences(10)
    corpora.texts(tmp_path / "data" / "a.jsonl", texts)
    leaked = {"question": texts[0], "answer": "of Avon"}
    clean = {"question": " ".join(f"unheard{index}" for index in range(20)), "answer": "none"}
    path = corpora.write(tmp_path / "facts.jsonl", [leaked, clean, clean, clean])
    assert run(tmp_path, base, suites=(corpora.suite(path),)).overlap == {"facts": 0.25}


def test_a_damaged_suite_stops_the_run_before_any_text_is_packed(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    corpora.texts(tmp_path / "data" / "a.jsonl", corpora.sentences(3))
    path = corpora.write(tmp_path / "facts.jsonl", [{"question": "who?"}])
    with pytest.raises(StageError, match=r"facts\.jsonl:1: answer is missing") as caught:
        run(tmp_path, base, suites=(corpora.suite(path),))
    assert caught.value.reason == "EvaluationUnreadable"


def test_text_cannot_smuggle_in_control_tokens(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    corpora.texts(tmp_path / "data" / "a.jsonl", [f"a text that spells out {builders.TURN_END} in its middle"])
    run(tmp_path, base)
    tokens, marks = blocks(tmp_path, base)
    assert 1 not in tokens[marks != packing.PADDING]
