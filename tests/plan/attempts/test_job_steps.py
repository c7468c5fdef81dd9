"""The steps of one stage with its Job: looked at, made again, replaced, begun."""

import dataclasses
import datetime
from typing import Any

import pytest

from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.residual import ResidualStatus
from modelrefresh.api.status.run import StageRecord, StageState
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh.contract.stages.extract import ExtractInput
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.actions import Plan, StartStage, StopJob
from modelrefresh.plan.attempts import job_steps
from modelrefresh.plan.attempts.job_steps import Step
from modelrefresh.plan.observed import JobState, ObservedJob
from tests.plan.sights import NOW, a_job

LATER = NOW + datetime.timedelta(minutes=2)


def start(record: StageRecord) -> tuple[StageRecord, StartStage]:
    section = ExtractInput(base="pvc://models/base", instruct="pvc://models/instruct")
    request = StageRequest(stage=Stage.EXTRACT, owner="instruct", run="r1", attempt=record.attempt, section=section)
    return record.evolve(gpus=1), StartStage(request=request, profile="p1")


def a_step(stage: StageRecord, *jobs: ObservedJob, **change: Any) -> Step[ResidualStatus]:  # noqa: ANN401
    step = Step(
        run="r1",
        stage=stage,
        jobs=jobs,
        pods=frozenset(),
        profile_hash="p1",
        due=None,
        put=lambda record: ResidualStatus(extract=record),
        start=start,
    )
    return dataclasses.replace(step, **change)


def record(state: StageState = StageState.QUEUED, **change: Any) -> StageRecord:  # noqa: ANN401
    return StageRecord(name=Stage.EXTRACT, state=state, attempt=1).evolve(**change)


def waited(step: Step[ResidualStatus]) -> Plan[ResidualStatus]:
    plan = job_steps.wait(step)
    assert plan is not None
    return plan


@pytest.mark.parametrize("state", [StageState.WAITING, StageState.SUCCEEDED, StageState.FAILED])
def test_a_stage_that_is_not_at_work_is_not_waited_for(state: StageState) -> None:
    assert job_steps.wait(a_step(record(state))) is None


@pytest.mark.parametrize(("state", "seconds"), [(JobState.RUNNING, 15.0), (JobState.QUEUED, 60.0)])
def test_a_job_at_work_is_looked_at_again(state: JobState, seconds: float) -> None:
    plan = waited(a_step(record(), a_job(Stage.EXTRACT, state=state)))
    assert (plan.actions, plan.requeue_after_seconds) == ((), seconds)


def test_a_job_that_vanished_is_made_again_for_the_same_attempt() -> None:
    (action,) = waited(a_step(record())).actions
    assert isinstance(action, StartStage)
    assert action.request.attempt == 1


@pytest.mark.parametrize(
    "change",
    [
        {"jobs": (a_job(Stage.EXTRACT, deleting=True),)},
        {"pods": frozenset({("r1", Stage.EXTRACT)})},
    ],
    ids=["its Job is on its way out", "its pod may still write"],
)
def test_nothing_is_made_while_something_of_the_attempt_is_left(change: dict[str, object]) -> None:
    plan = waited(a_step(record(), **change))
    assert (plan.actions, plan.requeue_after_seconds) == ((), 2.0)


def test_a_queued_job_of_an_old_profile_is_replaced_and_its_attempt_not_counted() -> None:
    job = a_job(Stage.EXTRACT, state=JobState.QUEUED, profile="old")
    plan = waited(a_step(record(), job))
    assert plan.actions == (StopJob(name=job.name, uid=job.uid),)
    assert plan.status.extract is not None
    assert (plan.status.extract.state, plan.status.extract.failures) == (StageState.WAITING, 0)


def test_a_running_job_of_an_old_profile_goes_on() -> None:
    job = a_job(Stage.EXTRACT, profile="old")
    assert waited(a_step(record(StageState.RUNNING), job)).actions == ()


def test_an_attempt_is_recorded_with_its_number_before_its_job_is_made() -> None:
    plan = job_steps.begin(a_step(record(StageState.WAITING, attempt=3)), NOW)
    assert plan.status.extract is not None
    assert (plan.status.extract.state, plan.status.extract.attempt, plan.status.extract.gpus) == ("Queued", 4, 1)
    assert [type(action) for action in plan.actions] == [StartStage]


def test_no_attempt_begins_before_it_is_due() -> None:
    failed = record(StageState.WAITING, reason=Reason.SOURCE_UNAVAILABLE, message="silent", outages=1)
    plan = job_steps.begin(a_step(failed, due=LATER), NOW)
    assert (plan.actions, plan.requeue_after_seconds) == ((), 120.0)
    assert f"again at {LATER:%H:%M:%S}" in plan.summary.message


def test_no_attempt_begins_beside_a_pod_of_the_last_one() -> None:
    plan = job_steps.begin(a_step(record(StageState.WAITING), pods=frozenset({("r1", Stage.EXTRACT)})), NOW)
    assert (plan.actions, plan.requeue_after_seconds) == ((), 2.0)
