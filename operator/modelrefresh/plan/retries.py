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
from modelrefresh.api.records import StageRecord
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.plan.observed import JobSeen

MAX_DISRUPTIONS: Final = 50
"""Disruptions of one stage of one run after which it is given up; a person should look at the nodes then."""
_BACKOFF_SECONDS: Final = (5, 30, 120, 300, 600)
_KILLED: Final = 137
"""128 + SIGKILL; without OOMKilled it comes from outside, such as a lost node."""


class Turn(enum.StrEnum):
    """Whose turn it is after an attempt."""

    AGAIN = "again"
    """Try once more, it counts."""
    DISRUPTED = "disrupted"
    """Try once more, it does not count."""
    LATER = "later"
    """Try once more after a pause, it does not count: a full disk or a silent hub must not cost what was trained."""
    GIVE_UP = "give-up"
    """Nothing changes by trying again."""
    WAIT = "wait"
    """Try once more when the profile has changed, it does not count: its image is of another release than we are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What to do about one failed attempt."""

    turn: Turn
    reason: Reason
    message: str


_BY_CODE: Final = {
    ExitCode.BAD_INPUT: (Turn.WAIT, Reason.INPUT_INVALID),
    ExitCode.DIVERGED: (Turn.GIVE_UP, Reason.TRAINING_DIVERGED),
    ExitCode.OUT_OF_MEMORY: (Turn.GIVE_UP, Reason.OUT_OF_MEMORY),
    ExitCode.PREEMPTED: (Turn.DISRUPTED, Reason.PREEMPTED),
    ExitCode.TRANSIENT: (Turn.LATER, Reason.SOURCE_UNAVAILABLE),
    ExitCode.INTERNAL: (Turn.AGAIN, Reason.INTERNAL_ERROR),
    ExitCode.OK: (Turn.AGAIN, Reason.POD_LOST),
}


def classify(job: JobSeen) -> Answer:
    """Read one failed attempt: pod conditions first, since they say why the exit code came about."""
    said = job.result.message if job.result else job.message
    if job.deadline_exceeded:
        return Answer(turn=Turn.GIVE_UP, reason=Reason.DEADLINE_EXCEEDED, message=said or "the stage ran out of time")
    if job.out_of_memory:
        return Answer(
            turn=Turn.GIVE_UP,
            reason=Reason.OUT_OF_MEMORY,
            message=f"the container was killed for memory; raise the stage's limit in the profile. {said}".strip(),
        )
    if job.disrupted or job.exit_code == _KILLED:
        return Answer(turn=Turn.DISRUPTED, reason=Reason.PREEMPTED, message=said or "the pod was disrupted")
    if job.exit_code is None:
        return Answer(turn=Turn.DISRUPTED, reason=Reason.POD_LOST, message=said or "the pod vanished without a result")
    if job.exit_code not in tuple(ExitCode):
        return Answer(
            turn=Turn.AGAIN, reason=Reason.INTERNAL_ERROR, message=f"exit code {job.exit_code}. {said}".strip()
        )
    turn, reason = _BY_CODE[ExitCode(job.exit_code)]
    reason = _stated(job) or reason
    if turn is Turn.WAIT and reason is not Reason.INPUT_INVALID:
        turn = Turn.GIVE_UP
    return Answer(turn=turn, reason=reason, message=said)


def due(stage: StageRecord) -> datetime.datetime | None:
    """When the next attempt may begin, by how many were in vain already; None for now."""
    tries = stage.failures + (stage.disruptions if _is_outside(stage) else 0)
    if not tries or stage.end_time is None:
        return None
    return stage.end_time + datetime.timedelta(seconds=_BACKOFF_SECONDS[min(tries, len(_BACKOFF_SECONDS)) - 1])


def is_lasting(stage: StageRecord) -> bool:
    """What is wrong outside has outlasted all pauses that grow: a person should look."""
    return _is_outside(stage) and stage.disruptions >= len(_BACKOFF_SECONDS)


def _is_outside(stage: StageRecord) -> bool:
    return stage.reason in (Reason.SOURCE_UNAVAILABLE, Reason.INSUFFICIENT_STORAGE)


def _stated(job: JobSeen) -> Reason | None:
    """The stage's own reason, where it is one of ours."""
    stated = job.result.reason if job.result else ""
    return Reason(stated) if stated in tuple(Reason) and stated != Reason.SUCCEEDED else None
