"""When a run opens, and what it remembers of why."""

import datetime

import pytest

from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.api.status.run import Outcome, TriggerKind
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.decide import decide
from tests.plan.sights import NOW, a_deployment, a_job, a_meta, a_run, a_sight, a_status, at_work

SCHEDULED: dict[str, object] = {"spec.triggers.schedule": "0 13 * * *"}


def ended(outcome: str = "Promoted", **change: object) -> RefreshStatus:
    """The last run is over."""
    return a_status(run=a_run().evolve(outcome=outcome, end_time=NOW), **change)


def failed(stage: str, *, minutes_ago: float = 0, profile: str = "p1", retries: int = 0) -> RefreshStatus:
    """The last run failed in this stage."""
    then = NOW - datetime.timedelta(minutes=minutes_ago)
    failure = {"run": "r1", "stage": stage, "attempt": 1, "reason": "DataUnreadable", "time": then, "profile": profile}
    run = a_run().evolve(outcome="Failed", end_time=then)
    return a_status(run=run, last_failure=failure, retries=retries)


def opened(status: RefreshStatus) -> TriggerKind | None:
    """The trigger of the run that is active now."""
    return status.run.trigger.kind if status.run and status.run.outcome is None else None


def test_first_sight_opens_a_run() -> None:
    assert opened(decide(a_sight(), NOW).status) is TriggerKind.FIRST_SIGHT


def test_a_run_that_is_over_is_not_opened_again() -> None:
    assert opened(decide(a_sight(status=ended()), NOW).status) is None


def test_changed_inputs_open_a_run() -> None:
    plan = decide(a_sight({"spec.training.seed": 3}, status=ended()), NOW)
    assert opened(plan.status) is TriggerKind.SPEC_CHANGED


def test_a_new_token_opens_a_run_and_is_remembered() -> None:
    plan = decide(a_sight(status=ended(), meta=a_meta(refresh_token="now")), NOW)
    assert opened(plan.status) is TriggerKind.ANNOTATION
    assert plan.status.last_handled_refresh == "now"


def test_a_token_that_was_handled_opens_nothing() -> None:
    observed = a_sight(status=ended(last_handled_refresh="now"), meta=a_meta(refresh_token="now"))
    assert opened(decide(observed, NOW).status) is None


def test_a_long_token_opens_one_run_only() -> None:
    observed = a_sight(status=ended(), meta=a_meta(refresh_token="x" * 5000))
    status = decide(observed, NOW).status
    assert status.run is not None
    again = a_sight(status=status.evolve(run=status.run.evolve(outcome="Promoted", end_time=NOW)), meta=observed.meta)
    assert opened(decide(again, NOW).status) is None


def test_a_token_present_at_first_sight_counts_as_handled() -> None:
    assert decide(a_sight(meta=a_meta(refresh_token="now")), NOW).status.last_handled_refresh == "now"


def test_a_token_that_comes_during_a_run_waits() -> None:
    observed = a_sight(status=at_work(Stage.TRAIN), jobs=(a_job(),), meta=a_meta(refresh_token="now"))
    plan = decide(observed, NOW)
    assert not plan.actions
    assert plan.status.last_handled_refresh is None


def test_a_tick_opens_a_run() -> None:
    status = ended(last_schedule_time=NOW - datetime.timedelta(hours=1))
    plan = decide(a_sight(SCHEDULED, status=status), NOW + datetime.timedelta(hours=1))
    assert opened(plan.status) is TriggerKind.SCHEDULE


@pytest.mark.parametrize("ahead", [datetime.timedelta(minutes=6), datetime.timedelta(days=400)])
def test_a_clock_that_was_ahead_does_not_silence_the_schedule(ahead: datetime.timedelta) -> None:
    status = decide(a_sight(SCHEDULED, status=ended(last_schedule_time=NOW + ahead)), NOW).status
    plan = decide(a_sight(SCHEDULED, status=status), NOW + datetime.timedelta(hours=1))
    assert opened(plan.status) is TriggerKind.SCHEDULE


def test_a_tick_is_not_met_again_by_a_clock_that_is_a_little_behind() -> None:
    tick = NOW + datetime.timedelta(hours=1)
    before, after = (tick + datetime.timedelta(seconds=seconds) for seconds in (-2, 2))
    status = decide(a_sight(SCHEDULED, status=ended(last_schedule_time=after)), before).status
    assert opened(decide(a_sight(SCHEDULED, status=status), after).status) is None


def test_a_schedule_that_is_new_does_not_fire_for_the_past() -> None:
    plan = decide(a_sight(SCHEDULED, status=ended()), NOW + datetime.timedelta(hours=5))
    assert opened(plan.status) is None


def test_an_idle_refresh_wakes_for_its_next_tick() -> None:
    plan = decide(a_sight(SCHEDULED, status=ended()), NOW)
    assert plan.requeue_after_seconds == pytest.approx(3600, abs=1)


@pytest.mark.parametrize(
    ("status", "trigger"),
    [
        (failed("prepare", minutes_ago=0.5), None),
        (failed("prepare", minutes_ago=1.1), TriggerKind.MENDED),
        (failed("prepare", minutes_ago=1.1, retries=2), None),
        (failed("prepare", minutes_ago=4.1, retries=2), TriggerKind.MENDED),
        (failed("train", minutes_ago=600), None),
        (failed("train", profile="p0"), TriggerKind.MENDED),
    ],
    ids=["cheap-early", "cheap", "cheap-again-early", "cheap-again", "gpu-never", "profile-changed"],
)
def test_a_failed_run_is_tried_again_when_that_is_cheap_or_the_profile_changed(
    status: RefreshStatus, trigger: TriggerKind | None
) -> None:
    assert opened(decide(a_sight(status=status), NOW).status) is trigger


def test_a_retry_is_another_run() -> None:
    plan = decide(a_sight(status=failed("prepare", minutes_ago=2)), NOW)
    assert plan.status.run is not None
    assert plan.status.run.id != "r1"
    assert plan.status.retries == 1


def test_a_failed_run_says_that_a_person_must_act() -> None:
    plan = decide(a_sight(status=failed("train")), NOW)
    assert plan.summary.stalled


def test_the_first_run_imports_the_stock_model_first() -> None:
    plan = decide(a_sight(status=RefreshStatus(), versions=(), target=a_deployment(digest=None)), NOW)
    assert plan.status.run is not None
    assert plan.status.run.stages[0].name is Stage.IMPORT


def test_later_runs_do_not_import_again() -> None:
    plan = decide(a_sight(status=ended(Outcome.REJECTED), meta=a_meta(refresh_token="1")), NOW)
    assert plan.status.run is not None
    assert plan.status.run.stages[0].name is Stage.PREPARE
