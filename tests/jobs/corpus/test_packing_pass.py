"""What is in the blocks: never more than the budget, and nothing in which nothing can be predicted."""

import pathlib

import pytest

from modelrefresh_jobs.corpus import packing
from modelrefresh_jobs.process.errors import StageError
from tests.jobs import builders, corpora
from tests.jobs.stages.test_prepare import blocks, run


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return builders.tiny_model(tmp_path_factory.mktemp("models") / "base")


def test_blocks_and_replay_together_never_exceed_the_budget(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    corpora.texts(tmp_path / "data" / "a.jsonl", corpora.sentences(60))
    replay = corpora.texts(tmp_path / "replay" / "a.jsonl", corpora.sentences(300, seed=7))
    for budget in (100, 333, 1000):
        root = tmp_path / str(budget)
        summary = run(
            root,
            base,
            data=f"file://{tmp_path / 'data'}",
            max_tokens=budget,
            replay=f"file://{replay}",
            replay_percent=40,
        )
        assert 0 < summary.tokens <= budget
        assert summary.tokens == int((blocks(root, base)[1] != packing.PADDING).sum())
        assert summary.kept + sum(summary.dropped.values()) == summary.documents


def test_no_block_is_written_in_which_nothing_can_be_predicted(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    corpora.texts(tmp_path / "data" / "a.jsonl", ["the mill stands near Avon", "a bridge was built in Brill"])
    whole = run(tmp_path / "whole", base, data=f"file://{tmp_path / 'data'}").tokens
    for length in (whole - 1, 2, 3, whole):
        root = tmp_path / str(length)
        summary = run(root, base, data=f"file://{tmp_path / 'data'}", sequence_length=length)
        marks = blocks(root, base)[1]
        assert (marks[:, 1:] == packing.REST).any(axis=1).all()
        assert summary.blocks == len(marks)
        assert summary.tokens == int((marks != packing.PADDING).sum())


def test_a_last_block_of_one_token_is_left_out_and_not_counted(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    corpora.texts(tmp_path / "data" / "a.jsonl", ["the mill stands near Avon", "a bridge was built in Brill"])
    whole = run(tmp_path / "whole", base, data=f"file://{tmp_path / 'data'}").tokens
    summary = run(tmp_path, base, sequence_length=whole - 1)
    assert (summary.tokens, summary.blocks) == (whole - 1, 1)


def test_blocks_of_one_token_are_refused_before_anything_is_trained(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    corpora.texts(tmp_path / "data" / "a.jsonl", corpora.sentences(3))
    with pytest.raises(StageError, match="no token follows another") as caught:
        run(tmp_path, base, sequence_length=1)
    assert caught.value.reason == "NoData"
