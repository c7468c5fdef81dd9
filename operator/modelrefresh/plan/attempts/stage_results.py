"""What the Jobs of the active run did since the last pass, folded into its record.

Each attempt is counted once: only a stage that is Queued or Running takes in its Job's
end, and leaves that state by it. Starting the next attempt is not decided here.
"""

import dataclasses
import datetime
from collections.abc import Callable, Sequence
from typing import Any

import pydantic

from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.api.status.run import Failure, StageRecord, StageState
from modelrefresh.contract import sections
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.result import Result
from modelrefresh.plan.actions import StatusSummary
from modelrefresh.plan.attempts import retries
from modelrefresh.plan.attempts.retries import FailureAction, FailureDecision
from modelrefresh.plan.attempts.stage_state import StageEvent, move
from modelrefresh.plan.observed import JobState, ObservedJob
from modelrefresh.plan.stages import stage_records
from modelrefresh.plan.stages.run_stage import UnusableSummaryError

_STALLING = (Reason.IMAGE_PULL_FAILED, Reason.PODS_REFUSED, Reason.POD_STUCK)
"""Reasons of a stage at work for which nothing goes on until a person acts."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AttemptContext:
    """What an attempt is held against."""

    attempts: int
    """The profile's limit of attempts that fail by their own fault."""
    now: datetime.datetime
    found: Callable[[StageRecord, Any], dict[str, Any]]
    """Fields of the stage's record that its summary fills; UnusableSummaryError where it cannot be used."""


def observe_jobs(status: RefreshStatus, jobs: Sequence[ObservedJob], context: AttemptContext) -> RefreshStatus:
    """The status after a look at the Job of the current stage."""
    found = stage_records.at_work(status)
    if found is None:
        return status
    run, stage = found
    job = find(jobs, run=run.id, stage=stage)
    if job is None:
        return status
    after = observe_job(stage, job, context)
    return status.evolve(
        run=stage_records.put(run, after), last_failure=failure(stage, after, job, context) or status.last_failure
    )


def find(jobs: Sequence[ObservedJob], *, run: str, stage: StageRecord) -> ObservedJob | None:
    """The Job of the stage's current attempt."""
    wanted = (run, stage.name, stage.attempt)
    return next((job for job in jobs if (job.run, job.stage, job.attempt) == wanted), None)


def summary_of(stage: StageRecord) -> StatusSummary:
    """What is said of a stage at work: its name, how far it is, and what Kubernetes says of its Job."""
    progress = f"{stage.name} attempt {stage.attempt} {stage.progress or ''}".rstrip()
    return StatusSummary(
        reason=Reason(stage.reason or Reason.RUNNING),
        message=": ".join(text for text in (progress, stage.message) if text),
        reconciling=True,
        stalled=stage.reason in _STALLING,
    )


def reason_of(stage: StageRecord) -> Reason:
    """Why the stage is where it is, in a word of ours."""
    return Reason(stage.reason) if stage.reason in tuple(Reason) else Reason.FAILED


def observe_job(stage: StageRecord, job: ObservedJob, context: AttemptContext) -> StageRecord:
    """The stage's record after a look at its Job."""
    hindered = job.hindrance
    if job.state is JobState.QUEUED:
        if job.image_failed:
            # The kubelet alternates between a cause and its pause; the fuller text stands, since each other is a write.
            known = stage.reason == Reason.IMAGE_PULL_FAILED and stage.message.startswith(job.message)
            text = stage.message if known else job.message
            return move(stage, StageEvent.WAITS, reason=Reason.IMAGE_PULL_FAILED, message=text)
        # A pod that ran and vanished is the Job's end, of which its controller has yet to tell.
        if hindered is not None and hindered.stalled and stage.state is not StageState.RUNNING:
            return move(stage, StageEvent.WAITS, reason=hindered.reason, message=hindered.message)
        return move(stage, StageEvent.WAITS, reason=Reason.QUEUED, message=job.message)
    if job.state is JobState.RUNNING:
        return move(
            stage,
            StageEvent.RUNS,
            reason=hindered.reason if hindered and hindered.stalled else Reason.RUNNING,
            message=hindered.message if hindered else "",
            progress=job.progress or stage.progress,
            start_time=stage.start_time or job.started,
        )
    outcome = _outcome(stage, job, context)
    if isinstance(outcome, FailureDecision):
        return _fail(stage, job, context, outcome)
    return move(
        _end(stage, job, context),
        StageEvent.SUCCEED,
        reason=Reason.STAGE_SUCCEEDED,
        warnings=job.result.warnings if job.result else (),
        **{"message": ""} | outcome,
    )


def failure(before: StageRecord, after: StageRecord, job: ObservedJob, context: AttemptContext) -> Failure | None:
    """What to remember of an attempt that failed just now, or None."""
    if after.failures + after.disruptions == before.failures + before.disruptions:
        return None
    outcome = _outcome(before, job, context)
    return Failure(
        run=job.run,
        stage=after.name,
        attempt=after.attempt,
        reason=after.reason or Reason.INTERNAL_ERROR,
        exit_code=job.exit_code,
        message=outcome.message if isinstance(outcome, FailureDecision) else "",
        time=context.now,
        profile=job.profile,
    )


def pause(
    status: RefreshStatus, jobs: Sequence[ObservedJob], *, reason: Reason, now: datetime.datetime
) -> RefreshStatus:
    """The status with the stage at work sent back to wait; the next attempt goes on from its checkpoint."""
    found = stage_records.at_work(status)
    if found is None:
        return status
    run, stage = found
    job = find(jobs, run=run.id, stage=stage)
    if job is not None and job.state in (JobState.SUCCEEDED, JobState.FAILED):
        # Its end is not recorded yet, for want of a profile; the Job keeps it.
        return status
    waiting = move(
        stage,
        StageEvent.STOP,
        reason=reason,
        message="",
        progress=None,
        end_time=None,
        gpu_seconds=stage.gpu_seconds + (_gpu_seconds(stage, job, until=now) if job else 0),
    )
    return status.evolve(run=stage_records.put(run, waiting))


def _fail(stage: StageRecord, job: ObservedJob, context: AttemptContext, answer: FailureDecision) -> StageRecord:
    lost = answer.action in (
        FailureAction.RETRY_UNCOUNTED,
        FailureAction.RETRY_LATER,
        FailureAction.AWAIT_PROFILE_CHANGE,
    )
    failures, disruptions = stage.failures + (not lost), stage.disruptions + lost
    exhausted = failures >= context.attempts or disruptions > retries.MAX_DISRUPTIONS
    over = answer.action is FailureAction.GIVE_UP or exhausted
    return move(
        _end(stage, job, context),
        StageEvent.GIVE_UP if over else StageEvent.RETRY,
        reason=answer.reason,
        message=answer.message,
        failures=failures,
        disruptions=disruptions,
        outages=stage.outages + 1 if answer.action is FailureAction.RETRY_LATER else 0,
    )


def _end(stage: StageRecord, job: ObservedJob, context: AttemptContext) -> StageRecord:
    finished = job.finished or context.now
    return stage.evolve(
        start_time=stage.start_time or job.started,
        end_time=finished,
        progress=None,
        gpu_seconds=stage.gpu_seconds + _gpu_seconds(stage, job, until=finished),
    )


def _gpu_seconds(stage: StageRecord, job: ObservedJob, *, until: datetime.datetime) -> int:
    """What this attempt has held its GPUs for."""
    return round(max(0.0, (until - job.started).total_seconds()) * stage.gpus) if job.started else 0


def _outcome(stage: StageRecord, job: ObservedJob, context: AttemptContext) -> dict[str, Any] | FailureDecision:
    """What a success leaves, or what follows from an attempt that leaves nothing to go on with."""
    said = job.result
    # Who could not read what was asked knows no run.
    unread = said is not None and not said.run and said.exit_code is not ExitCode.OK
    if said is not None and not unread and (said.stage, said.run) != (job.stage, job.run):
        fault = f"it is of stage {said.stage} of run {said.run}"
        job = dataclasses.replace(job, result=None, message=job.message or fault)
    if job.state is not JobState.SUCCEEDED or job.result is None:
        return retries.classify(job)
    facts = _checked(stage, job.result, context)
    return retries.classify(dataclasses.replace(job, result=None, message=facts)) if isinstance(facts, str) else facts


def _checked(stage: StageRecord, said: Result, context: AttemptContext) -> dict[str, Any] | str:
    """The facts of a success, or why there are none."""
    if not isinstance(said.summary, sections.summary_of(stage.name)):
        return f"it says nothing of {stage.name}"
    try:
        return context.found(stage, said.summary)
    except pydantic.ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in wrong["loc"])
        return f"{place}: {wrong['msg']}, saw {wrong['input']!r:.40}"
    except UnusableSummaryError as error:
        return str(error)
