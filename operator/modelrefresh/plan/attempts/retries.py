"""What follows from an attempt that did not succeed.

A table over exit codes and pod conditions: whose turn is it now? Disruptions (eviction,
preemption, a lost pod, a full disk) do not use up attempts, but their number is bounded too,
so that nothing loops for ever (KEP-3329). Knows no cluster and starts nothing.
"""

import datetime
import enum
from dataclasses import dataclass
from typing import Final

from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.run import Failure, StageRecord
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.plan.observed import ObservedJob

MAX_DISRUPTIONS: Final = 50
"""Disruptions of one stage of one run after which it is given up; a person should look at the nodes then."""
_BACKOFF_SECONDS: Final = (5, 30, 120, 300, 600)
_RELEASE_SECONDS: Final = 3600
_RENEWAL_SECONDS: Final = 60
_RENEWAL_DOUBLINGS: Final = 6
_KILLED: Final = (137, 143)
"""128 + SIGKILL or SIGTERM; without OOMKilled it comes from outside, such as a lost node."""


class FailureAction(enum.StrEnum):
    """Whose turn it is after an attempt."""

    RETRY = "again"
    """Try once more, it counts."""
    RETRY_UNCOUNTED = "disrupted"
    """Try once more, it does not count."""
    RETRY_LATER = "later"
    """Try once more after a pause, it does not count: a full disk or a silent hub must not cost what was trained."""
    GIVE_UP = "give-up"
    """Nothing changes by trying again."""
    AWAIT_PROFILE_CHANGE = "wait"
    """Try once more when the profile has changed, or in an hour, it does not count: its image is not of our release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureDecision:
    """What to do about one failed attempt."""

    action: FailureAction
    reason: Reason
    message: str


_BY_CODE: Final = {
    ExitCode.BAD_INPUT: (FailureAction.GIVE_UP, Reason.INPUT_INVALID),
    ExitCode.DIVERGED: (FailureAction.GIVE_UP, Reason.TRAINING_DIVERGED),
    ExitCode.OUT_OF_MEMORY: (FailureAction.GIVE_UP, Reason.OUT_OF_MEMORY),
    ExitCode.PREEMPTED: (FailureAction.RETRY_UNCOUNTED, Reason.PREEMPTED),
    ExitCode.TRANSIENT: (FailureAction.RETRY_LATER, Reason.SOURCE_UNAVAILABLE),
    ExitCode.PEER_LOST: (FailureAction.RETRY_LATER, Reason.PEER_LOST),
    ExitCode.INTERNAL: (FailureAction.RETRY, Reason.INTERNAL_ERROR),
    ExitCode.OK: (FailureAction.RETRY, Reason.INTERNAL_ERROR),
}


def classify(job: ObservedJob) -> FailureDecision:
    """Read one failed attempt: pod conditions first, since they say why the exit code came about."""
    said = job.result.message if job.result else job.message
    return _by_pod(job, said) or _by_code(job, said)


def _by_pod(job: ObservedJob, said: str) -> FailureDecision | None:
    if job.deadline_exceeded:
        return FailureDecision(
            action=FailureAction.GIVE_UP, reason=Reason.DEADLINE_EXCEEDED, message=said or "the stage ran out of time"
        )
    if job.out_of_memory:
        return FailureDecision(
            action=FailureAction.GIVE_UP,
            reason=Reason.OUT_OF_MEMORY,
            message=f"the container was killed for memory; raise the stage's limit in the profile. {said}".strip(),
        )
    if job.disrupted or job.exit_code in _KILLED:
        return FailureDecision(
            action=FailureAction.RETRY_UNCOUNTED, reason=Reason.PREEMPTED, message=said or "the pod was disrupted"
        )
    if job.exit_code is None:
        return FailureDecision(
            action=FailureAction.RETRY_UNCOUNTED,
            reason=Reason.POD_LOST,
            message=said or "the pod vanished without a result",
        )
    return None


def _by_code(job: ObservedJob, said: str) -> FailureDecision:
    if job.exit_code not in tuple(ExitCode):
        return FailureDecision(
            action=FailureAction.RETRY,
            reason=Reason.INTERNAL_ERROR,
            message=f"exit code {job.exit_code}. {said}".strip(),
        )
    (turn, reason), stated = _BY_CODE[ExitCode(job.exit_code)], _stated(job)
    if job.exit_code == ExitCode.OK:
        text = (
            f"it ended well, but its result cannot be used: {said}; is the profile's image of the operator's release?"
        )
        return FailureDecision(action=turn, reason=reason, message=text)
    if stated is Reason.INPUT_INVALID:
        text = f"the profile's image is of another release than the operator, give both the same: {said}"
        return FailureDecision(action=FailureAction.AWAIT_PROFILE_CHANGE, reason=stated, message=text)
    return FailureDecision(action=turn, reason=stated or reason, message=said)


def due(stage: StageRecord, *, failure: Failure | None, profile: str) -> datetime.datetime | None:
    """When the next attempt may begin, by why and how often the last ones were in vain; None for now.

    `profile` is the hash of today's profile.
    """
    if stage.end_time is None:
        return None
    if stage.reason == Reason.INPUT_INVALID:
        is_new = failure is None or failure.profile != profile
        return None if is_new else stage.end_time + datetime.timedelta(seconds=_RELEASE_SECONDS)
    tries = stage.failures + stage.outages
    if not tries:
        return None
    return stage.end_time + datetime.timedelta(seconds=_BACKOFF_SECONDS[min(tries, len(_BACKOFF_SECONDS)) - 1])


def renewed(end: datetime.datetime, *, times: int) -> datetime.datetime:
    """When a cheap stage that was given up is tried anew by itself: 1, 2, 4 ... 64 minutes after."""
    return end + datetime.timedelta(seconds=_RENEWAL_SECONDS << min(max(0, times), _RENEWAL_DOUBLINGS))


def is_lasting(stage: StageRecord) -> bool:
    """Nothing will go on before a person acts, or what is wrong outside has outlasted all pauses that grow."""
    return stage.outages >= len(_BACKOFF_SECONDS) or stage.reason == Reason.INPUT_INVALID


def _stated(job: ObservedJob) -> Reason | None:
    """The stage's own reason, where it is one of ours."""
    stated = job.result.reason if job.result else ""
    return Reason(stated) if stated in tuple(Reason) and stated != Reason.SUCCEEDED else None
