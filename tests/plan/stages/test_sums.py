"""What the stages are asked where a sum has several parts, and what must be there before."""

from typing import Any

import pytest

from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.run import StageRecord, StageState
from modelrefresh.api.status.stage_facts import ScaleFacts, SearchFacts
from modelrefresh.contract.stages.evaluate import EvaluateInput, SuiteInput
from modelrefresh.contract.stages.import_ import ImportInput
from modelrefresh.contract.stages.merge import AddedResidual, MergeInput, TensorScale
from modelrefresh.contract.stages.prepare import PrepareInput
from modelrefresh.contract.stages.search import ScaleScore, SearchInput, SearchSummary
from modelrefresh.contract.vocabulary import Stage, Strategy, Task, Transfer
from modelrefresh.plan import prerequisites
from modelrefresh.plan.actions import Plan, StartStage
from modelrefresh.plan.decide import decide
from modelrefresh.plan.observed import ObservedRefresh
from modelrefresh.plan.stages import order, search
from modelrefresh.plan.stages.run_stage import UnusableSummaryError
from tests import builders
from tests.plan.sights import (
    NEWER,
    NOW,
    RESIDUAL,
    STOCK,
    a_deployment,
    a_residual,
    a_run,
    a_sight,
    a_status,
    a_version,
)

SAFE = "a" * 64
DEV: dict[str, object] = {"name": "dev", "uri": "pvc://evals/dev.jsonl", "task": "question-answering"}
SEARCH = {"spec.residual.search": {"scales": ["0.6", "1.0"], "suites": [DEV]}}
TRANSFER = {"spec.residualRef.transfer": "SameFamily", "spec.rollout.stock": "Instruct"}
ADDED = {"spec.residuals": [{"name": "safety", "scale": "0.5"}]}
ABSOLUTE = {"suite": "knowledge", "metric": "exact_match", "versus": "Absolute", "minScore": "0.5"}


def asked(stage: Stage, edits: dict[str, object], **change: Any) -> Any:  # noqa: ANN401 -- differs by stage
    """What a stage is asked for this spec."""
    ready = prerequisites.ready(a_sight(edits, **change))
    run = ready.status.run or a_run()
    return order.of(stage).ask(ready, run)


def a_search(scale: float = 0.6) -> StageRecord:
    facts = SearchFacts(scale=scale, scores=(ScaleFacts(scale=scale, score=0.5, items=3),))
    return StageRecord(name=Stage.SEARCH, state=StageState.SUCCEEDED, attempt=1, search=facts)


def told(observed: ObservedRefresh) -> tuple[Reason, str, bool]:
    plan: Plan[Any] = decide(observed, NOW)
    starts = any(isinstance(action, StartStage) for action in plan.actions)
    return plan.summary.reason, plan.summary.message, starts


def test_a_plain_refresh_asks_for_one_residual_with_one_factor_on_its_own_base() -> None:
    wanted = MergeInput(start="pvc://models/base", strategy=Strategy.RESIDUAL, residual=RESIDUAL, scale=1.0)
    assert asked(Stage.MERGE, {}) == wanted


def test_the_parts_of_the_sum_reach_the_stage() -> None:
    edits = {**ADDED, "spec.residual.scale": "0.8", "spec.residual.scales": [{"tensors": "*.mlp.*", "scale": "0.5"}]}
    found: MergeInput = asked(Stage.MERGE, edits, added=(a_residual(name="safety", digest=SAFE),))
    assert (found.scale, found.scales) == (0.8, (TensorScale(tensors="*.mlp.*", scale=0.5),))
    assert found.added == (AddedResidual(residual=SAFE, scale=0.5),)


def test_prepare_is_told_all_that_merge_will_be_asked() -> None:
    edits = {**TRANSFER, **ADDED}
    sight = {"added": (a_residual(name="safety", digest=SAFE),)}
    prepare: PrepareInput = asked(Stage.PREPARE, edits, **sight)
    assert prepare.merge == asked(Stage.MERGE, edits, **sight)


def test_what_serves_is_averaged_in() -> None:
    found: MergeInput = asked(Stage.MERGE, {"spec.average": {"previous": "0.3"}})
    assert (found.previous, found.previous_share) == (STOCK, 0.3)


def test_nothing_is_averaged_in_while_nothing_serves() -> None:
    found: MergeInput = asked(Stage.MERGE, {"spec.average": {"previous": "0.3"}}, status=a_status(live=None))
    assert (found.previous, found.previous_share) == (None, None)


@pytest.mark.parametrize("stage", [Stage.PREPARE, Stage.TRAIN])
def test_with_a_transfer_nobody_knows_the_bases_fingerprint(stage: Stage) -> None:
    residual = a_residual(base="pvc://models/newer", base_fingerprint="b" * 64)
    found = asked(stage, TRANSFER, residual=residual)
    assert (found.base_fingerprint if stage is Stage.PREPARE else found.start_fingerprint) is None
    assert asked(Stage.MERGE, TRANSFER, residual=residual).transfer is Transfer.SAME_FAMILY


def test_with_a_transfer_the_residual_may_be_of_another_base() -> None:
    sight = a_sight(TRANSFER, residual=a_residual(base="pvc://models/newer"))
    assert told(sight)[2]


def test_without_it_the_message_says_the_word() -> None:
    reason, message, starts = told(a_sight(residual=a_residual(base="pvc://models/newer")))
    assert (reason, starts) == (Reason.BASE_MISMATCH, False)
    assert "spec.residualRef.transfer" in message


@pytest.mark.parametrize("base", ["pvc://models/base", "pvc://models/instruct"])
def test_an_added_residual_may_be_of_the_base_or_of_the_instruct_model(base: str) -> None:
    assert told(a_sight(ADDED, added=(a_residual(name="safety", digest=SAFE, base=base),)))[2]


@pytest.mark.parametrize(
    ("added", "reason", "said"),
    [
        (None, Reason.RESIDUAL_NOT_FOUND, "spec.residuals[0].name"),
        (a_residual(name="safety", base="pvc://models/far"), Reason.BASE_MISMATCH, "spec.residuals[0].transfer"),
        (a_residual(name="safety", ready=False, message="Queued: no node"), Reason.RESIDUAL_NOT_READY, '"safety"'),
    ],
)
def test_what_an_added_residual_lacks_is_named(added: Any, reason: Reason, said: str) -> None:  # noqa: ANN401
    found, message, starts = told(a_sight(ADDED, added=(added,)))
    assert (found, starts) == (reason, False)
    assert said in message


def test_an_added_residual_that_is_cut_anew_is_another_input() -> None:
    spec = builders.refresh_spec(ADDED)
    hashes = {prerequisites.inputs(spec, residual=RESIDUAL, added=(one,)) for one in (SAFE, "b" * 64)}
    assert len(hashes) == 2


def test_a_run_searches_only_where_the_spec_says_so() -> None:
    names = [
        [one.name for one in order.records(builders.refresh_spec(edits), is_first=False)] for edits in ({}, SEARCH)
    ]
    assert names == [
        [Stage.PREPARE, Stage.TRAIN, Stage.MERGE, Stage.EVALUATE],
        [Stage.PREPARE, Stage.TRAIN, Stage.SEARCH, Stage.MERGE, Stage.EVALUATE],
    ]


def test_the_search_has_its_own_questions_and_the_candidate_those_of_the_gates() -> None:
    dev = SuiteInput(name="dev", uri="pvc://evals/dev.jsonl", task=Task.QUESTION_ANSWERING)
    found: SearchInput = asked(Stage.SEARCH, SEARCH)
    run = a_run(Stage.EVALUATE)
    merged = tuple(one.evolve(merge={"digest": SAFE}) if one.name is Stage.MERGE else one for one in run.stages)
    judged: EvaluateInput = asked(Stage.EVALUATE, SEARCH, status=a_status(run=run.evolve(stages=merged)))
    assert (found.suites, found.scales) == ((dev,), (0.6, 1.0))
    assert [one.name for one in judged.suites] == ["knowledge"]


def test_prepare_looks_at_the_questions_of_the_search_too() -> None:
    found: PrepareInput = asked(Stage.PREPARE, SEARCH)
    assert [(one.name, one.dev) for one in found.suites] == [("knowledge", None), ("dev", True)]


def test_merge_takes_the_factor_that_was_found() -> None:
    run = a_run().evolve(stages=(a_search(0.6),))
    assert asked(Stage.MERGE, SEARCH, status=a_status(run=run)).scale == 0.6


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        (SearchSummary(scale=0.7, scores=(ScaleScore(scale=0.6, score=0.1, items=3),)), "0.7 is none of the factors"),
        (SearchSummary(scale=0.6, scores=(ScaleScore(scale=0.6, score=float("nan"), items=3),)), "from 0 to 1"),
        (SearchSummary(scale=0.6, scores=(ScaleScore(scale=0.6, score=1.5, items=3),)), "from 0 to 1"),
    ],
)
def test_a_search_that_says_what_cannot_be_is_not_used(summary: SearchSummary, said: str) -> None:
    with pytest.raises(UnusableSummaryError, match=said):
        search.STAGE.found(a_search(), summary, builders.refresh_spec(SEARCH))


def test_a_factor_reaches_merge_as_its_owner_wrote_it() -> None:
    edits: dict[str, object] = {"spec.residual.search": {"scales": ["0.333333", "1.0"], "suites": [DEV]}}
    score = ScaleScore(scale=0.333333, score=0.5, items=3)
    found = search.STAGE.found(a_search(), SearchSummary(scale=0.333333, scores=(score,)), builders.refresh_spec(edits))
    record = a_search().evolve(**found)
    assert asked(Stage.MERGE, edits, status=a_status(run=a_run().evolve(stages=(record,)))).scale == 0.333333


def test_version_zero_is_the_instruct_model_if_nothing_else_is_said() -> None:
    assert asked(Stage.IMPORT, {}) == ImportInput(instruct="pvc://models/instruct")


def test_version_zero_can_be_the_base_with_the_transferred_residual() -> None:
    edits = {**TRANSFER, "spec.rollout.stock": "Transferred", "spec.average": {"previous": "0.3"}}
    found: ImportInput = asked(Stage.IMPORT, edits)
    assert found.transferred == MergeInput(
        start="pvc://models/base", residual=RESIDUAL, transfer=Transfer.SAME_FAMILY, scale=1.0
    )


def test_without_a_stock_model_the_first_run_imports_nothing() -> None:
    spec = builders.refresh_spec({"spec.rollout.stock": "None", "spec.evaluation.gates": [ABSOLUTE]})
    assert order.records(spec, is_first=True)[0].name is Stage.PREPARE


def test_gates_that_compare_are_refused_while_there_is_nothing_to_compare_with() -> None:
    edits: dict[str, object] = {"spec.rollout.stock": "None"}
    empty = {"status": a_status(live=None, stock=None), "target": a_deployment(digest=None), "versions": ()}
    reason, message, starts = told(a_sight(edits, **empty))
    assert (reason, starts) == (Reason.INVALID_SPEC, False)
    assert "gates of knowledge have no incumbent" in message
    assert told(a_sight({**edits, "spec.evaluation.gates": [ABSOLUTE]}, **empty))[2]
    assert told(a_sight(edits))[2]


def test_a_version_that_is_held_is_nothing_to_compare_with() -> None:
    edits: dict[str, object] = {"spec.rollout.stock": "None"}
    named = {"target": a_deployment(digest=NEWER), "versions": (a_version(NEWER),)}
    held = a_status(live=None, stock=None, held=(NEWER,))
    assert told(a_sight(edits, status=held, **named))[0] is Reason.INVALID_SPEC
    assert told(a_sight(edits, status=held.evolve(held=()), **named))[0] is not Reason.INVALID_SPEC
