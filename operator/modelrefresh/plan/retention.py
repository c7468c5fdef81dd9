"""What may go: scratch and Jobs of old runs, versions that nothing needs.

Bounded by `spec.retain`. Whatever is live, previous, stock, a candidate, under way, or
named by another ModelRefresh of the namespace stays. One sweep at a time: its Job removes
the folders, then the objects that named them are deleted.
"""

import datetime
from typing import Final

from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.refresh import SWEPT, RefreshStatus, Sweep
from modelrefresh.api.status.run import StageRecord, StageState
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh.contract.stages.sweep import SweepInput, SweepSummary
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan import lifecycle
from modelrefresh.plan.actions import Action, DropVersion, Plan, RefreshPlan, StartStage, StatusSummary
from modelrefresh.plan.attempts import stage_results, stage_state
from modelrefresh.plan.attempts.stage_state import StageEvent
from modelrefresh.plan.observed import JobState, ObservedJob, ObservedVersion, ReadyRefresh
from modelrefresh.plan.stages import stage_records

RUN: Final = "retention"
"""Run id of every sweep; sweeps are told apart by their attempt."""
_MOST_BYTES: Final = 2**50
"""No claim holds more; a sweep that says so is not believed."""
_LOOK_SECONDS: Final = 15.0
_ATTEMPT_SECONDS: Final = 3600
"""A sweep that failed is tried again after this time."""


def sweep(ready: ReadyRefresh, now: datetime.datetime) -> RefreshPlan | None:
    """Go on with the sweep under way, or begin one if something may go."""
    under_way = ready.status.sweep
    job = stage_results.find(ready.jobs, run=RUN, stage=under_way.stage) if under_way else None
    # A sweep whose Job is gone, as after a suspension, is not made again: its list may name what serves by now.
    if under_way is not None and job is not None and under_way.stage.at_work:
        return _follow(ready, under_way, job, now)
    runs, versions = _old_runs(ready)[:SWEPT], _old_versions(ready)[:SWEPT]
    if not runs and not versions:
        return None
    if under_way is not None and under_way.stage.state is StageState.FAILED and under_way.stage.end_time is not None:
        wait = _ATTEMPT_SECONDS - (now - under_way.stage.end_time).total_seconds()
        if wait > 0:
            return None
    return _begin(ready, runs, versions)


def is_wanted(ready: ReadyRefresh) -> bool:
    """The open run has found no room: what may go must go now, or nothing will go on."""
    run = ready.status.run
    stage = stage_records.current(run) if run and run.outcome is None else None
    full = Reason.INSUFFICIENT_STORAGE
    return stage is not None and stage.state is StageState.WAITING and stage.reason == full


def make_room(ready: ReadyRefresh, now: datetime.datetime) -> RefreshPlan | None:
    """A stage has found no room: sweep before its next attempt."""
    return sweep(ready, now) if is_wanted(ready) else None


def _begin(ready: ReadyRefresh, runs: tuple[str, ...], versions: tuple[ObservedVersion, ...]) -> RefreshPlan:
    shared = {item.digest for item in ready.versions if item not in versions} | ready.foreign_digests
    digests = tuple(sorted({item.digest for item in versions} - shared))
    number = ready.status.sweep.stage.attempt + 1 if ready.status.sweep else 1
    stage = stage_state.move(StageRecord(name=Stage.SWEEP), StageEvent.BEGIN, attempt=number)
    total = ready.status.sweep.total_bytes if ready.status.sweep else 0
    begun = Sweep(stage=stage, runs=runs, versions=digests, total_bytes=total)
    summary = StatusSummary(
        reason=Reason.RETAINED, message=f"removing {len(runs)} old runs, {len(versions)} versions", reconciling=True
    )
    return Plan(
        status=ready.status.evolve(sweep=begun),
        summary=summary,
        actions=(_start(ready, begun),),
        requeue_after_seconds=_LOOK_SECONDS,
    )


def _follow(ready: ReadyRefresh, begun: Sweep, job: ObservedJob, now: datetime.datetime) -> RefreshPlan:
    if job.state in (JobState.QUEUED, JobState.RUNNING):
        return _await(ready, job)
    found = job.result.summary if job.state is JobState.SUCCEEDED and job.result else None
    if isinstance(found, SweepSummary) and 0 <= found.bytes <= _MOST_BYTES:
        return _finish(ready, begun, found.bytes, now)
    return _fail(ready, begun, job, now)


def _await(ready: ReadyRefresh, job: ObservedJob) -> RefreshPlan:
    summary = StatusSummary(reason=Reason.RETAINED, message="removing what retention no longer keeps", reconciling=True)
    if job.state is JobState.QUEUED and job.profile != ready.profile_hash:
        # It may wait for what the old profile named; the next sweep is made with the new one.
        return Plan(status=ready.status, summary=summary, actions=lifecycle.stop([job]), requeue_after_seconds=1.0)
    hindered = job.hindrance
    if hindered is not None:
        text = f"{summary.message}: {hindered.message}"
        reason = hindered.reason if hindered.stalled else summary.reason
        summary = StatusSummary(reason=reason, message=text, reconciling=True, stalled=hindered.stalled)
    return Plan(status=ready.status, summary=summary, requeue_after_seconds=_LOOK_SECONDS)


def _finish(ready: ReadyRefresh, begun: Sweep, freed: int, now: datetime.datetime) -> RefreshPlan:
    """The folders are gone: delete what named them. Repeated until the objects are gone too."""
    actions = _drops(ready, begun)
    if actions:
        summary = StatusSummary(
            reason=Reason.RETAINED, message="deleting what named the removed folders", reconciling=True
        )
        return Plan(status=ready.status, summary=summary, actions=actions, requeue_after_seconds=1.0)
    ended = begun.evolve(
        stage=stage_state.move(begun.stage, StageEvent.SUCCEED, end_time=now, reason=Reason.RETAINED),
        freed_bytes=freed,
        total_bytes=begun.total_bytes + freed,
    )
    summary = StatusSummary(reason=Reason.RETAINED, message=f"freed {freed} bytes", reconciling=True)
    return Plan(status=ready.status.evolve(sweep=ended), summary=summary, requeue_after_seconds=0.0)


def _fail(ready: ReadyRefresh, begun: Sweep, job: ObservedJob, now: datetime.datetime) -> RefreshPlan:
    text = job.result.message if job.result else job.message
    ended = stage_state.move(begun.stage, StageEvent.GIVE_UP, end_time=now, reason=Reason.FAILED, message=text)
    summary = StatusSummary(reason=Reason.RETAINED, message=f"the sweep failed: {text}", reconciling=True)
    return Plan(status=ready.status.evolve(sweep=begun.evolve(stage=ended)), summary=summary, requeue_after_seconds=0.0)


def _drops(ready: ReadyRefresh, begun: Sweep) -> tuple[Action, ...]:
    done = begun.stage.attempt
    gone = [job for job in ready.jobs if job.run in begun.runs or (job.run == RUN and job.attempt < done)]
    old = lifecycle.stop(gone, finished=True)
    versions = tuple(
        DropVersion(name=item.name, uid=item.uid)
        for item in _old_versions(ready)
        if item.digest in begun.versions or item.digest in ready.foreign_digests
    )
    return (*old, *versions)


def _old_runs(ready: ReadyRefresh) -> tuple[str, ...]:
    """Runs that still have Jobs, beyond the newest `spec.retain.runs`."""
    status = ready.status
    kept = {line.run for line in status.history[: ready.spec.retain.runs]} | {RUN}
    kept |= {status.run.id} if status.run else set()
    return tuple(sorted({job.run for job in ready.jobs if job.run not in kept and not job.deleting}))


def _old_versions(ready: ReadyRefresh) -> tuple[ObservedVersion, ...]:
    """Versions that nothing needs, beyond the newest `spec.retain.versions`."""
    needed = _needed(ready.status)
    free = [item for item in ready.versions if item.digest not in needed and item.digest != ready.target.digest]
    newest = sorted(free, key=lambda item: (item.created, item.name), reverse=True)
    return tuple(newest[ready.spec.retain.versions :])


def _needed(status: RefreshStatus) -> set[str]:
    places = [status.live, status.previous, status.stock, status.candidate]
    places += [status.rollout.to] if status.rollout else []
    return {place.digest for place in places if place is not None}


def _start(ready: ReadyRefresh, begun: Sweep) -> StartStage:
    request = StageRequest(
        stage=Stage.SWEEP,
        owner=ready.meta.name,
        run=RUN,
        attempt=begun.stage.attempt,
        section=SweepInput(runs=begun.runs, versions=begun.versions),
    )
    return StartStage(request=request, profile=ready.profile_hash)
