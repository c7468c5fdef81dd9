"""Replay that the model writes itself: how much, whose words, and that it is the same again."""

import itertools
import pathlib
from typing import Any

import pytest
import torch
import transformers

from modelrefresh.contract import limits
from modelrefresh.contract.stages.prepare import PrepareInput, PrepareSummary
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.corpus import generated_replay, packing
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.stages import prepare
from modelrefresh_jobs.storage import run_folders, sealed
from tests.jobs import builders, corpora


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return builders.tiny_model(tmp_path_factory.mktemp("models") / "base")


def prepared(
    root: pathlib.Path,
    base: pathlib.Path,
    *,
    progress: Progress | None = None,
    **changes: Any,  # noqa: ANN401
) -> tuple[PrepareSummary, pathlib.Path]:
    """What prepare makes of sixty sentences and a quarter of replay by the model, and where its blocks are."""
    data = corpora.texts(root / "data.jsonl", corpora.sentences(60))
    settings: dict[str, Any] = {"sequence_length": 32, "max_tokens": 100_000, "replay_percent": 25} | changes
    wanted = PrepareInput(base=builders.uri(base), data=f"file://{data}", replay_generated=True, **settings)
    folders = run_folders.of(builders.request(root, Stage.PREPARE, wanted))
    return prepare.run(wanted, folders, progress or builders.quiet(Stage.PREPARE)), folders.blocks


def test_the_model_writes_as_much_replay_as_its_share_asks_for(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    summary, blocks = prepared(tmp_path, base)
    assert summary.replay_tokens / summary.tokens == pytest.approx(0.25, abs=0.001)
    assert summary.generated > 1
    assert int(packing.tokens(packing.load(blocks)[1]).sum()) == summary.tokens


def test_equal_seeds_give_equal_blocks_and_other_seeds_others(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    made = [prepared(tmp_path / name, base, seed=seed)[1] for name, seed in (("a", 3), ("b", 3), ("c", 4))]
    digests = [sealed.read(blocks).digest for blocks in made]
    assert digests[0] == digests[1] != digests[2]


def test_unchanged_data_is_told_before_anything_is_written(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    first, _ = prepared(tmp_path / "a", base)
    other, _ = prepared(tmp_path / "b", base, replay_percent=30)
    again, _ = prepared(tmp_path / "c", base, unchanged_fingerprint=first.fingerprint)
    assert (again.unchanged, again.replay_tokens) == (True, 0)
    assert other.fingerprint != first.fingerprint


def test_documents_are_whole_and_hold_no_control_token(base: pathlib.Path) -> None:
    written = list(itertools.islice(generated_replay.documents(base, length=64, seed=0), 64))
    assert all(16 <= len(one) <= 64 for one in written)
    control = transformers.AutoTokenizer.from_pretrained(base).convert_tokens_to_ids(builders.TURN_END)
    assert control not in {number for one in written for number in one}
    assert all(0 not in one[:-1] for one in written)


def test_more_than_a_gpu_writes_in_hours_is_told(
    tmp_path: pathlib.Path, base: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GENERATED_TOKENS", 100)
    summary, _ = prepared(tmp_path, base)
    assert summary.replay_tokens == 100


@pytest.mark.parametrize(("length", "rooms_for", "sizes"), [(2048, 64, [32]), (8192, 64, [8]), (2048, 10, [32, 16, 8])])
def test_fewer_documents_are_written_at_once_where_they_are_long_or_memory_is_short(
    base: pathlib.Path, monkeypatch: pytest.MonkeyPatch, length: int, rooms_for: int, sizes: list[int]
) -> None:
    asked: list[int] = []

    def generate(_: object, prompts: torch.Tensor, **__: object) -> torch.Tensor:
        asked.append(len(prompts))
        if len(prompts) > rooms_for:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.full((len(prompts), 20), 5)

    monkeypatch.setattr(transformers.GenerationMixin, "generate", generate)
    next(generated_replay.documents(base, length=length, seed=0))
    assert asked == sizes


def test_what_is_written_without_a_gpu_is_told(
    tmp_path: pathlib.Path, base: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generated_replay, "has_gpu", lambda: False)
    progress = builders.quiet(Stage.PREPARE)
    prepared(tmp_path, base, progress=progress)
    assert any(text.endswith("tokens on a CPU, which is slow; give it a GPU") for text in progress.warnings)
