"""What is said of an object: the conditions that follow from a plan, and the events of what changed."""

import datetime as dt

import pytest

from modelrefresh import report
from modelrefresh.api.conditions import ConditionType, Reason
from modelrefresh.api.status import refresh
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.api.status.run import Condition, Failure
from modelrefresh.api.status.stage_facts import EvaluateFacts, VerdictFacts
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.actions import Plan, RefreshPlan, StatusSummary
from modelrefresh.plan.stages import stage_records
from tests.api import fullest
from tests.plan.sights import NOW, a_run, a_sight, a_status, at_work

LATER = NOW + dt.timedelta(hours=1)
IDLE = StatusSummary(reason=Reason.IDLE, message="")


def plan(remembered: RefreshStatus, summary: StatusSummary = IDLE) -> RefreshPlan:
    """A plan that remembers this, says that and does nothing."""
    return Plan(status=remembered, summary=summary)


def told(of: RefreshPlan, *, before: RefreshStatus | None = None, now: dt.datetime = NOW) -> RefreshStatus:
    """The status that is written of a plan, after another one."""
    return report.refresh(of, a_sight(status=before or of.status), now)


def condition(said: RefreshStatus, kind: ConditionType) -> Condition:
    """The one condition of this type."""
    (found,) = (item for item in said.conditions if item.type == kind)
    return found


def stalled(reason: Reason) -> RefreshPlan:
    """A plan that waits for a person."""
    return plan(a_status(), StatusSummary(reason=reason, message="look", stalled=True))


def failed(reason: str) -> RefreshStatus:
    """A status whose last attempt failed."""
    failure = Failure(run="r1", stage=Stage.TRAIN, attempt=2, reason=reason, message="broken", time=NOW)
    return a_status(last_failure=failure)


def judged(verdict: str) -> RefreshStatus:
    """A status whose run was judged so."""
    gate = VerdictFacts(suite="facts", metric="contains", versus="Incumbent", needed=0.0, verdict=verdict)
    run = a_run(Stage.EVALUATE)
    measured = run.record(Stage.EVALUATE)
    assert measured is not None
    return a_status(run=stage_records.put(run, measured.evolve(evaluate=EvaluateFacts(verdicts=(gate,)))))


def test_an_unchanged_world_is_told_in_the_same_words_at_any_time() -> None:
    first = told(plan(a_status()))
    assert told(plan(first), before=first, now=LATER) == first


def test_the_time_of_a_condition_moves_with_its_status_and_not_with_its_words() -> None:
    first = told(stalled(Reason.TARGET_NOT_FOUND))
    second = told(stalled(Reason.PROFILE_NOT_FOUND), before=first, now=LATER)
    third = told(plan(a_status()), before=second, now=LATER)
    times = [condition(said, ConditionType.STALLED).last_transition_time for said in (first, second, third)]
    assert times == [NOW, NOW, LATER]


def test_what_is_told_of_a_status_that_would_be_too_big_is_what_is_stored() -> None:
    said = told(plan(fullest.refresh_status()))
    stored = RefreshStatus.read(said.render())
    assert refresh.size(said) <= refresh.SIZE_LIMIT
    assert report.event_records(stored, said) == ()


@pytest.mark.parametrize("reason", [Reason.TARGET_NOT_FOUND, Reason.TARGET_CONFLICT, Reason.INVALID_SPEC])
def test_nothing_is_ready_while_nobody_can_say_what_serves(reason: Reason) -> None:
    said = told(stalled(reason))
    assert (condition(said, ConditionType.READY).status, condition(said, ConditionType.ROLLED_OUT).status) == (
        "False",
        "False",
    )


@pytest.mark.parametrize(
    ("reason", "status"), [(Reason.RUNNING, "True"), (Reason.AWAITING_APPROVAL, "False"), (Reason.SUSPENDED, "False")]
)
def test_an_open_run_is_reconciled_unless_it_waits_for_a_person(reason: Reason, status: str) -> None:
    said = told(plan(at_work(Stage.TRAIN), StatusSummary(reason=reason, message="")))
    assert condition(said, ConditionType.RECONCILING).status == status


@pytest.mark.parametrize(("verdict", "status"), [("Pass", "True"), ("Fail", "False")])
def test_a_verdict_stands_until_the_next_run_is_judged(verdict: str, status: str) -> None:
    first = told(plan(judged(verdict)))
    second = told(plan(first.evolve(run=a_run(Stage.TRAIN, id="r2"))), before=first, now=LATER)
    assert condition(second, ConditionType.GATES_PASSED) == condition(first, ConditionType.GATES_PASSED)
    assert condition(second, ConditionType.GATES_PASSED).status == status


@pytest.mark.parametrize(("word", "reason"), [("OutOfMemory", Reason.OUT_OF_MEMORY), ("Mood", Reason.INTERNAL_ERROR)])
def test_a_failure_is_told_by_its_reason_and_one_of_another_release_as_a_fault_without_a_name(
    word: str, reason: Reason
) -> None:
    (record,) = report.event_records(a_status(), failed(word))
    assert (record.reason, record.message, record.warning) == (reason, "train attempt 2 of run r1: broken", True)


@pytest.mark.parametrize(("reason", "events"), [(Reason.TARGET_NOT_FOUND, 1), (Reason.FAILED, 0)])
def test_a_standstill_is_an_event_unless_a_failed_run_has_told_it(reason: Reason, events: int) -> None:
    assert len(report.event_records(told(plan(a_status())), told(stalled(reason)))) == events
