"""Which documents are learnt when a budget of tokens does not hold all."""

import datetime as dt
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from modelrefresh.contract.vocabulary import Sampling, Stage
from modelrefresh_jobs.corpus import candidates, deduplication, packing, scan, selection, tokenization
from modelrefresh_jobs.corpus.contamination import Overlap
from modelrefresh_jobs.corpus.reading import data_files, dates, documents
from modelrefresh_jobs.process.errors import StageError
from tests.jobs import builders, corpora

NEWEST, UNIFORM = Sampling
END = 7_000_000


class Numbers:
    """A vocabulary in which every word is a token; words are numbers."""

    unknown = None

    def __init__(self) -> None:
        self.encoded = 0

    def encode(self, texts: Sequence[str]) -> tokenization.Encoded:
        """Each text's numbers and the end."""
        self.encoded += len(texts)
        found = [[*map(int, text.split()), END] for text in texts]
        sizes = np.array([len(one) for one in found])
        return tokenization.Encoded(ids=np.array([number for one in found for number in one], np.int32), sizes=sizes)


def text(number: int, tokens: int) -> str:
    """A document of this many tokens, the end included, that is like no other."""
    return " ".join(str(1_000_000 + 1000 * number + index) for index in range(tokens - 1))


class Corpus:
    """Documents on disk, and what is chosen of them."""

    def __init__(self, root: pathlib.Path, records: Sequence[dict[str, object]]) -> None:
        self.root, self.path = root, corpora.write(root / "data" / "a.jsonl", list(records))
        self.vocabulary = Numbers()
        self.files = data_files.find(self.path.parent).files

    def choose(self, budget: int, *, sampling: Sampling = NEWEST, seed: int = 0) -> selection.Chosen:
        """The choice; blocks of it are in `self.blocks`."""
        vocabulary: Any = self.vocabulary
        seen = scan.of(documents.read(self.files, text_field="text"), today=corpora.TODAY)
        order = scan.order(seen, sampling=sampling, seed=seed)
        source = candidates.Source(files=self.files, text_field="text", seen=seen, order=order)
        with deduplication.NearDuplicates(self.root / "chosen.signatures") as near:
            chooser = selection.Selection(
                path=self.root / "chosen.tokens",
                vocabulary=vocabulary,
                overlap=Overlap({}),
                near=near,
                progress=builders.quiet(Stage.PREPARE),
            )
            chosen = chooser.choose(source, budget=budget)
        self.seen = seen
        writer = packing.BlockWriter(
            self.root / f"blocks-{sampling}-{seed}-{budget}", sequence_length=8, padding_token=0
        )
        self.blocks = chooser.write(chosen, writer)
        return chosen

    def numbers(self) -> set[int]:
        """Numbers of the documents in the blocks."""
        tokens = self.blocks[0][self.blocks[1] != packing.PADDING]
        return {(int(token) - 1_000_000) // 1000 for token in tokens if token != END}


def dated(number: int, tokens: int, date: object) -> dict[str, object]:
    return {"text": text(number, tokens), "date": date}


def day(number: int) -> str:
    return (dt.date(2024, 1, 1) + dt.timedelta(days=number)).isoformat()


@pytest.mark.parametrize("least", [1, 100, 1 << 20])
def test_the_newest_fill_the_budget_whatever_their_place_in_the_files(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    monkeypatch.setattr(selection, "_LEAST", least)
    places = list(np.random.default_rng(5).permutation(60))
    corpus = Corpus(tmp_path, [dated(int(number), 10, day(int(number))) for number in places])
    chosen = corpus.choose(200)
    assert corpus.numbers() == set(range(40, 60))
    assert (chosen.tokens, chosen.newest) == (200, dates.seconds(dt.datetime(2024, 2, 29, tzinfo=dt.UTC)))


def test_newest_is_the_date_of_a_document_that_is_learnt(tmp_path: pathlib.Path) -> None:
    corpus = Corpus(tmp_path, [dated(0, 10, "2025-01-01"), dated(1, 500, "2026-06-01"), dated(2, 10, "2025-03-01")])
    chosen = corpus.choose(100)
    assert corpus.numbers() == {0, 2}
    assert dates.text(chosen.newest or 0) == "2025-03-01T00:00:00+00:00"


def test_documents_without_a_usable_date_come_last_and_are_drawn_by_seed(tmp_path: pathlib.Path) -> None:
    odd = [None, "", "soon", "9999-12-31", "0001-01-01", "2026-11-27", 2026, "9999-12-31T23:59:59-05:00"]
    undated = [dated(number, 10, odd[number % 8]) for number in range(40)]
    corpus = Corpus(tmp_path, [*undated, *(dated(number, 10, "1999-01-01") for number in range(40, 50))])
    drawn = []
    for seed in (0, 1):
        chosen = corpus.choose(150, seed=seed)
        assert dates.text(chosen.newest or 0).startswith("1999-01-01")
        assert corpus.numbers() >= set(range(40, 50))
        drawn.append(corpus.numbers())
    assert drawn[0] != drawn[1]
    assert corpus.seen.unusable_dates == 30


def test_uniform_draws_by_seed_from_all_dates_alike(tmp_path: pathlib.Path) -> None:
    corpus = Corpus(tmp_path, [dated(number, 10, day(number)) for number in range(200)])
    corpus.choose(1000, sampling=UNIFORM)
    first = corpus.numbers()
    assert len(first) == 100
    assert 30 < len([number for number in first if number < 100]) < 70
    corpus.choose(1000, sampling=UNIFORM, seed=1)
    assert corpus.numbers() != first


@pytest.mark.parametrize("place", [0, 3, 5])
def test_a_giant_is_passed_over_and_the_others_are_learnt(tmp_path: pathlib.Path, place: int) -> None:
    records = [dated(number, 10, None) for number in range(5)]
    corpus = Corpus(tmp_path, [*records[:place], dated(9, 900, "2026-01-01"), *records[place:]])
    chosen = corpus.choose(100)
    assert (len(chosen.places), chosen.tokens, chosen.cut) == (5, 50, 0)
    assert corpus.numbers() == set(range(5))


def test_where_no_document_fits_the_first_in_order_is_cut(tmp_path: pathlib.Path) -> None:
    corpus = Corpus(tmp_path, [dated(1, 900, "2025-01-01"), dated(2, 800, "2026-01-01"), dated(3, 700, None)])
    chosen = corpus.choose(100)
    assert (len(chosen.places), chosen.tokens, chosen.cut) == (1, 100, 1)
    assert corpus.numbers() == {2}
    assert dates.text(chosen.newest or 0).startswith("2026-01-01")


def test_of_two_like_documents_the_newer_is_learnt(tmp_path: pathlib.Path) -> None:
    longer = text(1, 300)
    corpus = Corpus(
        tmp_path, [dated(2, 50, None), {"text": longer}, {"text": longer + " 1001999", "date": "2026-01-01"}]
    )
    chosen = corpus.choose(10_000)
    assert (len(chosen.places), chosen.dropped["near_duplicate"]) == (2, 1)
    assert dates.text(chosen.newest or 0).startswith("2026-01-01")


def test_a_document_like_one_that_did_not_fit_is_still_learnt(tmp_path: pathlib.Path) -> None:
    longer = text(1, 300)
    corpus = Corpus(tmp_path, [{"text": f"{longer} 1001998 1001999", "date": "2026-01-01"}, {"text": longer}])
    chosen = corpus.choose(301)
    assert (len(chosen.places), chosen.tokens, chosen.dropped["near_duplicate"]) == (1, 300, 0)


def test_not_much_more_is_tokenised_than_the_budget_holds(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "_LEAST", 100)
    corpus = Corpus(tmp_path, [dated(number, 50, day(number % 300)) for number in range(900)])
    chosen = corpus.choose(2000)
    assert chosen.tokens == 2000
    assert corpus.vocabulary.encoded < 100


def test_a_text_that_comes_twice_is_as_new_as_its_newest_record(tmp_path: pathlib.Path) -> None:
    records = [
        dated(1, 10, "2025-01-01"),
        dated(1, 10, "2026-01-01"),
        dated(1, 10, "2024-01-01"),
        dated(2, 10, "2025-06-01"),
    ]
    corpus = Corpus(tmp_path, records)
    corpus.choose(10)
    assert corpus.numbers() == {1}


def test_data_that_changes_between_two_readings_is_a_fault(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = Corpus(tmp_path, [dated(number, 10, None) for number in range(5)])
    order = scan.order

    def rewritten(*arguments: Any, **more: Any) -> scan.Array:  # noqa: ANN401
        corpora.write(corpus.path, [dated(number, 10, None) for number in range(3)])
        return order(*arguments, **more)

    monkeypatch.setattr(scan, "order", rewritten)
    with pytest.raises(StageError, match=r"a\.jsonl .*: 2 documents are gone") as caught:
        corpus.choose(1000)
    assert caught.value.reason == "DataUnreadable"


_RECORDS = some.lists(
    some.tuples(
        some.integers(0, 12), some.integers(1, 80), some.sampled_from([None, "2025-01-01", "2026-02-03", "9999-12-31"])
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_RECORDS, some.integers(0, 700), some.sampled_from([NEWEST, UNIFORM]), some.integers(1, 2000))
def test_every_document_is_learnt_or_counted_by_reason(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[tuple[int, int, str | None]],
    budget: int,
    sampling: Sampling,
    least: int,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "_LEAST", least)
        corpus = Corpus(tmp_path_factory.mktemp("corpus"), [dated(*record) for record in records])
        chosen = corpus.choose(budget, sampling=sampling)
    kept, late = len(chosen.places), sum(chosen.dropped.values())
    assert corpus.seen.documents == len(corpus.seen.lengths) + sum(corpus.seen.dropped.values()) == len(records)
    assert 0 <= kept <= len(corpus.seen.lengths) - late
    assert chosen.tokens == int(packing.tokens(corpus.blocks[1]).sum()) <= budget
    if chosen.newest is not None:
        assert dates.text(chosen.newest)[:10] in {record[2] for record in records}
