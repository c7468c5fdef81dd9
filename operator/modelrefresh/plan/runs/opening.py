"""When a run opens, and when a newer one takes its place.

One run at a time. A changed spec supersedes the active run at once, since its result is no
longer wanted; an annotation token or a schedule tick that comes meanwhile waits until the
run has ended, so that no GPU hour is thrown away for the same inputs.
"""

import dataclasses
import datetime

from modelrefresh.api import names
from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.api.status.run import Outcome, Run, StageState, Trigger, TriggerKind
from modelrefresh.plan import lifecycle, retention
from modelrefresh.plan.actions import Plan, RefreshPlan, StatusSummary, StopJob
from modelrefresh.plan.attempts import retries, stage_results, stage_steps
from modelrefresh.plan.observed import ReadyRefresh
from modelrefresh.plan.rollout import serving
from modelrefresh.plan.runs import run_end, schedule
from modelrefresh.plan.runs.run_end import End
from modelrefresh.plan.stages import import_, order, stage_records

_TOKEN_LIMIT = 120
_SKEW = datetime.timedelta(minutes=5)
"""Clocks of two replicas differ by less; a tick that one of them has met must not come again for the other."""


def supersede(ready: ReadyRefresh, now: datetime.datetime) -> RefreshPlan | None:
    """The active run works on something the spec no longer says."""
    status = stage_results.pause(ready.status, ready.jobs, reason=Reason.SUPERSEDED, now=now)
    run = status.run
    if run is None or run.outcome is not None:
        return None
    if run.inputs == ready.inputs and not import_.is_outdated(ready, run):
        return None
    text = f"run {run.id} worked on an older spec (generation {run.spec_generation})"
    status = run_end.close(status, run, End(outcome=Outcome.SUPERSEDED, message=text), now).evolve(candidate=None)
    return Plan(
        status=status,
        summary=StatusSummary(reason=Reason.SUPERSEDED, message=text, reconciling=True),
        actions=lifecycle.stop(ready.jobs),
        requeue_after_seconds=0.0,
    )


def clear(ready: ReadyRefresh, _: datetime.datetime) -> RefreshPlan | None:
    """Jobs and pods of other runs must be gone before anything new starts; a sweep gives way to a run.

    So must an open Job of a stage that is not at work: its end was recorded, and the operator died before it.
    """
    run = ready.status.run
    active = {run.id} if run and run.outcome is None else {retention.RUN}
    active |= {retention.RUN} if retention.is_wanted(ready) else set()
    stage = stage_records.current(run) if run and run.outcome is None else None
    idle_stage = stage.name if stage and stage.state is StageState.WAITING else None
    stops = lifecycle.stop(job for job in ready.jobs if job.run not in active or job.stage is idle_stage)
    writing = sorted(other for other, _ in ready.pods if other not in active)
    if not stops and not writing:
        return None
    waits = writing or sorted(job.name for job in stops if isinstance(job, StopJob))
    text = f"waiting until {', '.join(waits)} has stopped"
    summary = StatusSummary(reason=Reason.SUPERSEDED, message=text, reconciling=True)
    return Plan(status=ready.status, summary=summary, actions=stops, requeue_after_seconds=5.0)


def open_next(ready: ReadyRefresh, now: datetime.datetime) -> RefreshPlan | None:
    """Open a run if one is due, and start its first stage."""
    status = _watch_schedule(ready, now)
    if status.run is not None and status.run.outcome is None:
        return None
    trigger = _due(ready, status, now)
    if trigger is None:
        return None
    known = ready.status.stock is not None
    # A token that was used before must not find the Jobs and folders of its first run.
    last = status.run.id if status.run else ""
    run = Run(
        id=names.run_id(uid=ready.meta.uid, trigger=f"{trigger.kind}/{trigger.detail}/{last}", inputs=ready.inputs),
        trigger=trigger,
        start_time=now,
        inputs=ready.inputs,
        spec_generation=ready.meta.generation,
        stages=order.records(ready.spec, is_first=not known),
    )
    status = status.evolve(
        run=run,
        candidate=None,
        last_handled_refresh=_token(ready) or status.last_handled_refresh,
        last_schedule_time=now if status.last_schedule_time else None,
        retries=status.retries + (trigger.kind is TriggerKind.MENDED),
    )
    # Its first stage begins in the same step if nothing is in its way: the record still comes before the Job.
    opened = dataclasses.replace(ready, status=status)
    return clear(opened, now) or stage_steps.start_stage(opened, now)


def idle(ready: ReadyRefresh, now: datetime.datetime) -> RefreshPlan:
    """No run is active or due; always answers."""
    status = _watch_schedule(ready, now)
    wakes = [
        (moment - now).total_seconds() for moment in (status.next_schedule_time, _retry_at(ready, status)) if moment
    ]
    summary = serving.ended(ready) or StatusSummary(reason=Reason.IDLE, message="")
    return Plan(status=status, summary=summary, requeue_after_seconds=max(0.0, min(wakes)) + 0.1 if wakes else None)


def _due(ready: ReadyRefresh, status: RefreshStatus, now: datetime.datetime) -> Trigger | None:
    run, token = status.run, _token(ready)
    if run is None:
        return Trigger(kind=TriggerKind.FIRST_SIGHT, detail=token or "")
    if run.inputs != ready.inputs or run.outcome is Outcome.SUPERSEDED:
        return Trigger(kind=TriggerKind.SPEC_CHANGED, detail=f"generation {ready.meta.generation}")
    if token and token != status.last_handled_refresh:
        return Trigger(kind=TriggerKind.ANNOTATION, detail=token)
    since = status.last_schedule_time
    tick = schedule.last_tick(ready.spec.triggers, since=since, now=now) if since else None
    if tick is not None:
        return Trigger(kind=TriggerKind.SCHEDULE, detail=tick.isoformat())
    return _mended(ready, status, now)


def _token(ready: ReadyRefresh) -> str | None:
    """The annotation that asks for a run; a long one keeps its identity within what a status holds."""
    token = ready.meta.refresh_token
    return names.short(token, limit=_TOKEN_LIMIT) if token else None


def _mended(ready: ReadyRefresh, status: RefreshStatus, now: datetime.datetime) -> Trigger | None:
    run, failure = status.run, status.last_failure
    if run is None or run.outcome is not Outcome.FAILED or failure is None:
        return None
    moment = _retry_at(ready, status)
    if failure.profile != ready.profile_hash or (moment is not None and now >= moment):
        return Trigger(kind=TriggerKind.MENDED, detail=f"{run.id} {status.retries + 1}")
    return None


def _retry_at(ready: ReadyRefresh, status: RefreshStatus) -> datetime.datetime | None:
    run, failure = status.run, status.last_failure
    if run is None or run.outcome is not Outcome.FAILED or run.end_time is None or failure is None:
        return None
    if not order.is_cheap(failure.stage, ready.spec):
        return None
    return retries.renewed(run.end_time, times=status.retries)


def _watch_schedule(ready: ReadyRefresh, now: datetime.datetime) -> RefreshStatus:
    """Remember since when ticks count, and say when the next one comes."""
    status, triggers = ready.status, ready.spec.triggers
    if triggers.schedule is None:
        return status.evolve(last_schedule_time=None, next_schedule_time=None)
    since = status.last_schedule_time or now
    if since - now > _SKEW:
        # A clock that was ahead and is right again must not silence the schedule until it gets there.
        since = now
    return status.evolve(last_schedule_time=since, next_schedule_time=schedule.next_tick(triggers, now=now))
