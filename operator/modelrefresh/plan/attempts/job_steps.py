"""The steps of one stage with its Job, of whatever object: wait, replace, make again, begin the next attempt.

An attempt is recorded before its Job is created, and created again if it vanished, under the same name.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.run import StageRecord, StageState
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan import lifecycle
from modelrefresh.plan.actions import Plan, StartStage, StatusSummary
from modelrefresh.plan.attempts import retries, stage_results, stage_state
from modelrefresh.plan.observed import JobState, ObservedJob, S

_LOOK_SECONDS = 15.0
"""How often the progress of a running stage is looked at, and when a new Job is looked at for the first time."""
_QUEUED_SECONDS = 60.0
"""How often a Job is looked at whose pods wait; its first running pod is an event of the Job."""
_POD_SECONDS = 2.0
"""How soon a pod that is about to go, or a Job that was just made, is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Generic[S]):
    """The stage that an object is at, and how its status and its Job are made."""

    run: str
    stage: StageRecord
    jobs: tuple[ObservedJob, ...]
    pods: frozenset[tuple[str, Stage]]
    profile_hash: str
    due: datetime.datetime | None
    """When the next attempt may begin; None for now."""
    put: Callable[[StageRecord], S]
    """The object's status with this record."""
    start: Callable[[StageRecord], tuple[StageRecord, StartStage]]
    """What makes the Job of an attempt, and the record with what the attempt is asked."""

    @property
    def attempt(self) -> str:
        """The attempt as messages name it."""
        return f"{self.stage.name} attempt {self.stage.attempt}"


def wait(step: Step[S]) -> Plan[S] | None:
    """A stage is at work: look again later; replace a Job that can never start, make one again that vanished."""
    if not step.stage.at_work:
        return None
    job = stage_results.find(step.jobs, run=step.run, stage=step.stage)
    if job is None or job.deleting:
        return _recreate(step, gone=job is None)
    if job.state is JobState.QUEUED and job.profile != step.profile_hash:
        return _replace(step, job)
    look = _QUEUED_SECONDS if job.state is JobState.QUEUED else _LOOK_SECONDS
    return Plan(status=step.put(step.stage), summary=stage_results.summary_of(step.stage), requeue_after_seconds=look)


def begin(step: Step[S], now: datetime.datetime) -> Plan[S]:
    """Begin the next attempt, or say why not yet."""
    if step.due is not None and now < step.due:
        return _pause(step, step.due, now)
    if (step.run, step.stage.name) in step.pods:
        text = f"waiting until the last pod of {step.attempt} has stopped"
        summary = StatusSummary(reason=Reason.RUNNING, message=text, reconciling=True)
        return Plan(status=step.put(step.stage), summary=summary, requeue_after_seconds=_POD_SECONDS)
    begun, action = step.start(stage_state.begin(step.stage))
    # As `wait` says it of the queued Job, which then has nothing to write.
    summary = stage_results.summary_of(begun)
    return Plan(status=step.put(begun), summary=summary, actions=(action,), requeue_after_seconds=_LOOK_SECONDS)


def _pause(step: Step[S], due: datetime.datetime, now: datetime.datetime) -> Plan[S]:
    # The time of day and not the seconds left: a message that changes with every look is a write at every look.
    stage = step.stage
    lasting = retries.is_lasting(stage) or stage.state is StageState.FAILED
    text = f"{step.attempt} failed ({stage.reason}: {stage.message}); again at {due:%H:%M:%S} UTC"
    reason = stage_results.reason_of(stage) if lasting else Reason.RUNNING
    summary = StatusSummary(reason=reason, message=text, reconciling=not lasting, stalled=lasting)
    return Plan(status=step.put(stage), summary=summary, requeue_after_seconds=(due - now).total_seconds())


def _recreate(step: Step[S], *, gone: bool) -> Plan[S]:
    """The attempt is recorded but its Job is not there: never created, or deleted by somebody."""
    summary = StatusSummary(reason=Reason.RUNNING, message=f"creating {step.attempt}", reconciling=True)
    if not gone or (step.run, step.stage.name) in step.pods:
        return Plan(status=step.put(step.stage), summary=summary, requeue_after_seconds=_POD_SECONDS)
    asked, action = step.start(step.stage)
    return Plan(status=step.put(asked), summary=summary, actions=(action,), requeue_after_seconds=_POD_SECONDS)


def _replace(step: Step[S], job: ObservedJob) -> Plan[S]:
    """The profile changed while no pod ran yet: a Job's template is immutable, so make a new one."""
    text = f"the profile changed; {step.stage.name} is queued anew"
    summary = StatusSummary(reason=Reason.QUEUED, message=text, reconciling=True)
    status = step.put(stage_state.replace_job(step.stage))
    return Plan(status=status, summary=summary, actions=lifecycle.stop([job]), requeue_after_seconds=1.0)
