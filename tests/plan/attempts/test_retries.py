"""Whose turn it is after an attempt: the whole table."""

import dataclasses

import pytest

from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.run import Failure, StageRecord
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.result import Result
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.attempts import retries
from modelrefresh.plan.attempts.retries import FailureAction
from modelrefresh.plan.observed import JobState, ObservedJob
from tests.plan.sights import NOW


def a_job(**change: object) -> ObservedJob:
    """A failed train attempt."""
    job = ObservedJob(name="j", uid="u", run="r", stage=Stage.TRAIN, attempt=1, state=JobState.FAILED)
    return dataclasses.replace(job, **change)  # type: ignore[arg-type]


def said(exit_code: ExitCode, reason: str, message: str = "why") -> Result:
    """What the stage left as its termination message."""
    return Result(stage=Stage.TRAIN, run="r", attempt=1, exit_code=exit_code, reason=reason, message=message)


@pytest.mark.parametrize(
    ("job", "turn", "reason"),
    [
        (a_job(exit_code=2), FailureAction.GIVE_UP, Reason.INPUT_INVALID),
        (a_job(exit_code=10), FailureAction.GIVE_UP, Reason.TRAINING_DIVERGED),
        (a_job(exit_code=11), FailureAction.GIVE_UP, Reason.OUT_OF_MEMORY),
        (a_job(exit_code=12), FailureAction.RETRY_UNCOUNTED, Reason.PREEMPTED),
        (a_job(exit_code=13), FailureAction.RETRY_LATER, Reason.SOURCE_UNAVAILABLE),
        (a_job(exit_code=14), FailureAction.RETRY_LATER, Reason.PEER_LOST),
        (a_job(exit_code=1), FailureAction.RETRY, Reason.INTERNAL_ERROR),
        (a_job(exit_code=99), FailureAction.RETRY, Reason.INTERNAL_ERROR),
        (a_job(exit_code=137), FailureAction.RETRY_UNCOUNTED, Reason.PREEMPTED),
        (a_job(exit_code=143), FailureAction.RETRY_UNCOUNTED, Reason.PREEMPTED),
        (a_job(exit_code=137, out_of_memory=True), FailureAction.GIVE_UP, Reason.OUT_OF_MEMORY),
        (a_job(exit_code=1, disrupted=True), FailureAction.RETRY_UNCOUNTED, Reason.PREEMPTED),
        (a_job(exit_code=12, deadline_exceeded=True), FailureAction.GIVE_UP, Reason.DEADLINE_EXCEEDED),
        (a_job(exit_code=None), FailureAction.RETRY_UNCOUNTED, Reason.POD_LOST),
        (a_job(state=JobState.SUCCEEDED, exit_code=None), FailureAction.RETRY_UNCOUNTED, Reason.POD_LOST),
        (
            a_job(exit_code=2, result=said(ExitCode.BAD_INPUT, "DataUnreadable")),
            FailureAction.GIVE_UP,
            Reason.DATA_UNREADABLE,
        ),
        (
            a_job(exit_code=2, result=said(ExitCode.BAD_INPUT, "NoSuchWord")),
            FailureAction.GIVE_UP,
            Reason.INPUT_INVALID,
        ),
        (
            a_job(exit_code=2, result=said(ExitCode.BAD_INPUT, "InputInvalid")),
            FailureAction.AWAIT_PROFILE_CHANGE,
            Reason.INPUT_INVALID,
        ),
    ],
)
def test_each_way_to_fail_has_its_turn_and_reason(job: ObservedJob, turn: FailureAction, reason: Reason) -> None:
    answer = retries.classify(job)
    assert (answer.action, answer.reason) == (turn, reason)


@pytest.mark.parametrize("code", list(ExitCode))
def test_every_exit_code_of_the_contract_is_answered(code: ExitCode) -> None:
    assert isinstance(retries.classify(a_job(exit_code=int(code))).action, FailureAction)


def test_the_stage_s_own_words_come_before_kubernetes_s() -> None:
    answer = retries.classify(
        a_job(exit_code=2, message="BackoffLimitExceeded", result=said(ExitCode.BAD_INPUT, "NoData"))
    )
    assert answer.message == "why"


@pytest.mark.parametrize("counted", ["failures", "outages"])
def test_the_pause_grows_and_stays_bounded(counted: str) -> None:
    waits = [pause(**{counted: tries}) for tries in range(1, 10)]
    assert waits == [5, 30, 120, 300, 600, 600, 600, 600, 600]


def test_a_lost_node_is_no_reason_to_pause() -> None:
    assert pause(disruptions=7, reason=Reason.PREEMPTED) is None


@pytest.mark.parametrize(
    ("fields", "lasting"), [({"outages": 4}, False), ({"outages": 5}, True), ({"disruptions": 7, "outages": 1}, False)]
)
def test_an_outage_lasts_once_it_has_outlived_every_pause(fields: dict[str, int], *, lasting: bool) -> None:
    stage = StageRecord(name=Stage.TRAIN, reason=Reason.INSUFFICIENT_STORAGE).evolve(**fields)
    assert retries.is_lasting(stage) is lasting


def test_an_image_of_another_release_is_tried_again_in_an_hour_or_with_another_profile() -> None:
    assert pause(disruptions=1, reason=Reason.INPUT_INVALID) == 3600
    assert pause(disruptions=1, reason=Reason.INPUT_INVALID, today="another") is None


def pause(*, today: str = "p1", **fields: object) -> float | None:
    """Seconds from the end of an attempt, made with the profile p1, to the next one; None for at once."""
    stage = StageRecord(name=Stage.TRAIN, end_time=NOW).evolve(**fields)
    failure = Failure(run="r", stage=Stage.TRAIN, attempt=1, reason="Failed", time=NOW, profile="p1")
    due = retries.due(stage, failure=failure, profile=today)
    return (due - NOW).total_seconds() if due else None
