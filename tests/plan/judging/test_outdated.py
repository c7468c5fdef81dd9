"""What is done again when another version serves than a stage was asked with."""

from typing import Any

import pytest

from modelrefresh.api.status.run import Run, StageRecord, StageState
from modelrefresh.api.status.stage_facts import EvaluateFacts, MergeFacts
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.actions import Plan, StartStage
from modelrefresh.plan.decide import decide
from modelrefresh.plan.stages import stage_records
from tests.plan.sights import NEWER, NOW, STOCK, a_deployment, a_ref, a_run, a_sight, a_status, a_version, inputs_of

AVERAGE: dict[str, object] = {"spec.average": {"previous": "0.3"}}
CANDIDATE = "c" * 64


def merged(*, averaged_with: str | None) -> Run:
    """A run whose merge has succeeded and whose evaluation has not begun."""
    return changed(a_run(Stage.EVALUATE), Stage.MERGE, incumbent=averaged_with, merge=MergeFacts(digest=CANDIDATE))


def measured(run: Run, *, against: str) -> Run:
    """The same with its evaluation."""
    facts = EvaluateFacts(incumbent=against)
    return changed(
        run, Stage.EVALUATE, state=StageState.SUCCEEDED, attempt=1, digest=CANDIDATE, incumbent=against, evaluate=facts
    )


def changed(run: Run, stage: Stage, **change: Any) -> Run:  # noqa: ANN401 -- any field
    return stage_records.put(run, record(run, stage).evolve(**change))


def record(run: Run | None, stage: Stage) -> StageRecord:
    found = run.record(stage) if run else None
    assert found is not None
    return found


def planned(run: Run, edits: dict[str, object] | None = None, *, live: str = NEWER) -> Plan[Any]:
    """What is planned for this run while this version serves."""
    status = a_status(run=run.evolve(inputs=inputs_of(edits)), live=a_ref(live))
    versions = (a_version(served=live == STOCK), a_version(NEWER, served=live == NEWER))
    return decide(a_sight(edits, status=status, target=a_deployment(digest=live), versions=versions), NOW)


def waiting(plan: Plan[Any]) -> list[Stage]:
    run = plan.status.run
    return [one.name for one in run.stages if one.state is StageState.WAITING] if run else []


def started(plan: Plan[Any]) -> list[Stage]:
    return [action.request.stage for action in plan.actions if isinstance(action, StartStage)]


def test_a_sum_with_what_no_longer_serves_is_made_again_before_it_is_measured() -> None:
    plan = planned(merged(averaged_with=STOCK), AVERAGE)
    assert waiting(plan) == [Stage.MERGE, Stage.EVALUATE]
    assert plan.actions == ()
    assert plan.summary.message == "the live version changed; averaging with it"


def test_a_sum_with_what_serves_is_measured() -> None:
    plan = planned(merged(averaged_with=NEWER), AVERAGE)
    assert started(plan) == [Stage.EVALUATE]


def test_a_sum_without_an_average_does_not_mind_what_serves() -> None:
    plan = planned(merged(averaged_with=None))
    assert started(plan) == [Stage.EVALUATE]


@pytest.mark.parametrize(("edits", "again"), [({}, [Stage.EVALUATE]), (AVERAGE, [Stage.MERGE, Stage.EVALUATE])])
def test_a_candidate_that_was_compared_with_another_version_is_compared_again(
    edits: dict[str, object], again: list[Stage]
) -> None:
    assert waiting(planned(measured(merged(averaged_with=STOCK), against=STOCK), edits)) == again


def test_a_stage_at_work_is_waited_for_before_anything_is_repeated() -> None:
    run = changed(merged(averaged_with=STOCK), Stage.EVALUATE, state=StageState.RUNNING, attempt=1, gpus=1)
    assert record(planned(run, AVERAGE).status.run, Stage.MERGE).state is StageState.SUCCEEDED


def test_an_ended_run_is_not_repeated() -> None:
    run = measured(merged(averaged_with=STOCK), against=STOCK).evolve(outcome="Rejected")
    assert Stage.MERGE not in waiting(planned(run, AVERAGE))
