"""The state of a stage, and the only table by which it changes.

A record's state is written here alone; what else changes with it is the caller's. An event that the table does not
know in a state is a fault of this software, since results of attempts are taken in only while a stage is at work.
"""

import enum
from collections.abc import Mapping
from typing import Any, Final

from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.run import StageRecord, StageState


class StageEvent(enum.StrEnum):
    """What happens to a stage."""

    BEGIN = "begin"
    """An attempt is recorded; its Job comes next."""
    WAITS = "waits"
    """No pod of the attempt's Job runs."""
    RUNS = "runs"
    """A pod of it runs."""
    SUCCEED = "succeed"
    """The attempt ended well, with a result that can be used."""
    RETRY = "retry"
    """The attempt ended otherwise, and there will be another one."""
    GIVE_UP = "give up"
    """The attempt ended otherwise, and there will be none."""
    STOP = "stop"
    """Its Job is deleted before an end: suspension, another spec, another profile."""
    REPEAT = "repeat"
    """What it found is out of date: it is done again."""


TRANSITIONS: Final[Mapping[tuple[StageState, StageEvent], StageState]] = {
    (StageState.WAITING, StageEvent.BEGIN): StageState.QUEUED,
    (StageState.QUEUED, StageEvent.WAITS): StageState.QUEUED,
    (StageState.QUEUED, StageEvent.RUNS): StageState.RUNNING,
    (StageState.QUEUED, StageEvent.SUCCEED): StageState.SUCCEEDED,
    (StageState.QUEUED, StageEvent.RETRY): StageState.WAITING,
    (StageState.QUEUED, StageEvent.GIVE_UP): StageState.FAILED,
    (StageState.QUEUED, StageEvent.STOP): StageState.WAITING,
    (StageState.RUNNING, StageEvent.WAITS): StageState.QUEUED,  # the only pod vanished, and another one is made
    (StageState.RUNNING, StageEvent.RUNS): StageState.RUNNING,
    (StageState.RUNNING, StageEvent.SUCCEED): StageState.SUCCEEDED,
    (StageState.RUNNING, StageEvent.RETRY): StageState.WAITING,
    (StageState.RUNNING, StageEvent.GIVE_UP): StageState.FAILED,
    (StageState.RUNNING, StageEvent.STOP): StageState.WAITING,
    (StageState.SUCCEEDED, StageEvent.REPEAT): StageState.WAITING,
    (StageState.FAILED, StageEvent.BEGIN): StageState.QUEUED,  # of a residual: a mended file is no event
}
"""State and event to the next state."""


def move(stage: StageRecord, event: StageEvent, **changes: Any) -> StageRecord:  # noqa: ANN401 -- any field's value
    """The stage's record after an event, with what else changes."""
    return stage.evolve(state=TRANSITIONS[stage.state, event], **changes)


def begin(stage: StageRecord) -> StageRecord:
    """The record of the next attempt, before its Job exists."""
    return move(stage, StageEvent.BEGIN, attempt=stage.attempt + 1, reason=Reason.QUEUED, message="", end_time=None)


def replace_job(stage: StageRecord) -> StageRecord:
    """The record of a stage whose Job was made with a profile that has changed since: its template cannot change."""
    return move(stage, StageEvent.STOP, reason=Reason.PENDING, message="the profile changed")
