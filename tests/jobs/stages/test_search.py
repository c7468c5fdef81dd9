"""The search for a factor: every one asked the same, the best taken, nothing left behind."""

import pathlib

import pytest

from modelrefresh.contract.stages.merge import MergeInput
from modelrefresh.contract.stages.search import ScaleScore, SearchInput, SearchSummary
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.attempt import stage_module
from modelrefresh_jobs.evaluation import generation
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.stages import search
from tests.jobs import builders, corpora
from tests.jobs.weights.merges import Merges

SCALES = (0.0, 0.5, 1.0)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> builders.Pair:
    """A pair far apart, so that each factor answers otherwise."""
    root = tmp_path_factory.mktemp("models")
    base = builders.tiny_model(root / "base", seed=1)
    instruct = builders.disturbed(base, root / "instruct", seed=2, size=0.5)
    builders.make_instruct(instruct)
    return builders.Pair(base=base, instruct=instruct, trained=builders.disturbed(base, root / "trained", seed=3))


@pytest.fixture
def merges(tmp_path: pathlib.Path, pair: builders.Pair) -> Merges:
    made = Merges(tmp_path / "ws")
    made.train(pair.trained)
    return made


def searched(merges: Merges, pair: builders.Pair, residual: str, suite: pathlib.Path) -> SearchSummary:
    wanted = SearchInput(
        merge=MergeInput(start=builders.uri(pair.base), residual=residual, scale=0.7),
        scales=SCALES,
        suites=(corpora.suite(suite),),
        max_new_tokens=6,
    )
    return stage_module.run(builders.request(merges.root, Stage.SEARCH, section=wanted), builders.quiet(Stage.SEARCH))


@pytest.mark.parametrize("best", SCALES)
def test_the_factor_that_answers_best_is_taken(
    tmp_path: pathlib.Path, pair: builders.Pair, merges: Merges, best: float
) -> None:
    residual = merges.extract(pair.base, pair.instruct)
    teacher = generation.Chat(merges.merge(pair.base, residual, scale=best))
    questions = [f"what of {text}" for text in corpora.sentences(12)]
    replies = teacher.answer(questions, max_new_tokens=6, progress=builders.quiet(Stage.EVALUATE))
    suite = tmp_path / "dev.jsonl"
    pairs = zip(questions, replies, strict=True)
    corpora.write(suite, [{"question": one, "answer": reply.text or "-"} for one, reply in pairs])
    found = searched(merges, pair, residual, suite)
    assert found.scale == best
    assert [one.scale for one in found.scores] == list(SCALES)
    assert {one.items for one in found.scores} == {12}
    scratch = builders.workspace_of(merges.root).stage("chat", "r1", Stage.SEARCH)
    assert [path.name for path in scratch.iterdir() if path.is_dir()] == []


def test_a_suite_that_cannot_be_read_ends_it_before_a_merge(
    tmp_path: pathlib.Path, pair: builders.Pair, merges: Merges
) -> None:
    residual = merges.extract(pair.base, pair.instruct)
    suite = tmp_path / "dev.jsonl"
    suite.write_text("not json\n")
    with pytest.raises(StageError, match=r"dev\.jsonl"):
        searched(merges, pair, residual, suite)


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ({0.6: 0.5, 0.8: 0.7, 1.0: 0.6}, 0.8),
        ({0.6: 0.7, 0.8: 0.7, 1.0: 0.6}, 0.8),
        ({0.9: 0.7, 1.1: 0.7}, 0.9),
        ({1.0: 0.7, 0.0: 0.7}, 1.0),
    ],
)
def test_equals_go_to_the_factor_of_the_paper(scores: dict[float, float], best: float) -> None:
    assert search.best([ScaleScore(scale=one, score=score, items=9) for one, score in scores.items()]) == best
