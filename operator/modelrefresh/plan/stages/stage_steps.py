"""The next step of the active run: wait for a stage, answer its failure, start the next one.

Rules of `decide.py`, over one run that is open and wanted. An attempt is recorded before
its Job is created, and created again if it vanished, under the same name.
"""

import datetime

from modelrefresh.api.conditions import Reason
from modelrefresh.api.run_status import Outcome, Run, StageRecord, StageState
from modelrefresh.api.status import VersionRef
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.actions import Plan, SealVersion, StatusSummary, StopJob
from modelrefresh.plan.observed import JobState, ObservedJob, ReadyRefresh
from modelrefresh.plan.rollout import serving
from modelrefresh.plan.runs import run_end
from modelrefresh.plan.runs.run_end import End
from modelrefresh.plan.stages import retries, stage_records, stage_state

_LOOK_SECONDS = 15.0
"""How often the progress of a running stage is looked at, and when a new Job is looked at for the first time."""
_QUEUED_SECONDS = 60.0
"""How often a Job is looked at whose pods wait; its first running pod is an event of the Job."""


def give_up(ready: ReadyRefresh, now: datetime.datetime) -> Plan | None:
    """A stage has failed for good: the run ends, what serves stays."""
    run, stage = _current(ready)
    if run is None or stage is None or stage.state is not StageState.FAILED:
        return None
    text = f"{stage.name} attempt {stage.attempt} failed: {stage.reason}: {stage.message}"
    status = run_end.close(ready.status, run, End(outcome=Outcome.FAILED, message=text, reason=_reason(stage)), now)
    return Plan(
        status=status,
        summary=StatusSummary(reason=Reason.FAILED, message=text, stalled=True),
        requeue_after_seconds=0.0,
    )


def register_stock(ready: ReadyRefresh, _: datetime.datetime) -> Plan | None:
    """The stock model is imported: seal it as version zero."""
    run = ready.status.run
    imported = run.record(Stage.IMPORT) if run else None
    if run is None or imported is None or imported.digest is None:
        return None
    name = serving.name_of(ready, imported.digest)
    if ready.status.stock is not None and any(item.name == name for item in ready.versions):
        return None
    status = ready.status.evolve(stock=VersionRef(version=name, digest=imported.digest))
    seal = SealVersion(name=name, digest=imported.digest, run=run, stock=True)
    summary = StatusSummary(reason=Reason.RUNNING, message=f"registered the stock model as {name}", reconciling=True)
    return Plan(status=status, summary=summary, actions=(seal,), requeue_after_seconds=0.0)


def skip_unchanged(ready: ReadyRefresh, now: datetime.datetime) -> Plan | None:
    """Intake found the data of the last judged run again."""
    run = ready.status.run
    prepared = run.record(Stage.PREPARE) if run else None
    if run is None or run.outcome is not None or prepared is None or prepared.prepare is None:
        return None
    if not prepared.prepare.unchanged:
        return None
    text = f"the data has not changed since the last judged run ({prepared.prepare.documents} documents)"
    status = run_end.close(ready.status, run, End(outcome=Outcome.SKIPPED, message=text), now)
    return Plan(status=status, summary=StatusSummary(reason=Reason.SKIPPED, message=text), requeue_after_seconds=0.0)


def await_stage(ready: ReadyRefresh, _: datetime.datetime) -> Plan | None:
    """A stage is at work: look again later; replace a Job that can never start."""
    run, stage = _current(ready)
    if run is None or stage is None or not stage.at_work:
        return None
    job = stage_state.find(ready.jobs, run=run.id, stage=stage)
    if job is None or job.deleting:
        return _recreate(ready, run, stage, gone=job is None)
    if job.state is JobState.QUEUED and job.profile != ready.profile_hash:
        return _replace(ready, run, stage, job)
    look = _QUEUED_SECONDS if job.state is JobState.QUEUED else _LOOK_SECONDS
    return Plan(
        status=ready.status,
        summary=stage_state.told(stage, f"{stage.name} attempt {stage.attempt}"),
        requeue_after_seconds=look,
    )


def start_stage(ready: ReadyRefresh, now: datetime.datetime) -> Plan | None:
    """Start the next attempt of the first stage that has not succeeded."""
    run, stage = _current(ready)
    if run is None or stage is None:
        return None
    due = retries.due(stage, failure=ready.status.last_failure, profile=ready.profile_hash)
    if due is not None and now < due:
        # The time of day and not the seconds left: a message that changes with every look is a write at every look.
        failed = f"{stage.name} attempt {stage.attempt} failed ({stage.reason}: {stage.message})"
        text, lasting = f"{failed}; again at {due:%H:%M:%S} UTC", retries.is_lasting(stage)
        reason = _reason(stage) if lasting else Reason.RUNNING
        summary = StatusSummary(reason=reason, message=text, reconciling=not lasting, stalled=lasting)
        return Plan(status=ready.status, summary=summary, requeue_after_seconds=(due - now).total_seconds())
    if (run.id, stage.name) in ready.pods:
        text = f"waiting until the last pod of {stage.name} attempt {stage.attempt} has stopped"
        return Plan(
            status=ready.status,
            summary=StatusSummary(reason=Reason.RUNNING, message=text, reconciling=True),
            requeue_after_seconds=2.0,
        )
    begun = stage.evolve(
        state=StageState.QUEUED, attempt=stage.attempt + 1, reason=Reason.QUEUED, end_time=None, message=""
    )
    action = stage_records.start(ready, run, begun)
    begun = stage_records.asked(ready, begun).evolve(gpus=action.gpus * action.nodes)
    # Word for word what `await_stage` will say of the queued Job, which then has nothing to write.
    summary = StatusSummary(reason=Reason.QUEUED, message=f"{stage.name} attempt {begun.attempt}", reconciling=True)
    return Plan(
        status=ready.status.evolve(run=stage_records.put(run, begun)),
        summary=summary,
        actions=(action,),
        requeue_after_seconds=_LOOK_SECONDS,
    )


def _current(ready: ReadyRefresh) -> tuple[Run | None, StageRecord | None]:
    run = ready.status.run
    if run is None or run.outcome is not None:
        return None, None
    return run, stage_records.current(run)


def _recreate(ready: ReadyRefresh, run: Run, stage: StageRecord, *, gone: bool) -> Plan:
    """The attempt is recorded but its Job is not there: never created, or deleted by somebody."""
    busy = (run.id, stage.name) in ready.pods
    summary = StatusSummary(
        reason=Reason.RUNNING, message=f"creating {stage.name} attempt {stage.attempt}", reconciling=True
    )
    if busy or not gone:
        return Plan(status=ready.status, summary=summary, requeue_after_seconds=2.0)
    status = ready.status.evolve(run=stage_records.put(run, stage_records.asked(ready, stage)))
    return Plan(
        status=status, summary=summary, actions=(stage_records.start(ready, run, stage),), requeue_after_seconds=2.0
    )


def _replace(ready: ReadyRefresh, run: Run, stage: StageRecord, job: ObservedJob) -> Plan:
    """The profile changed while no pod ran yet: a Job's template is immutable, so make a new one."""
    waiting = stage.evolve(state=StageState.WAITING, reason=Reason.PENDING, message="the profile changed")
    summary = StatusSummary(
        reason=Reason.QUEUED, message=f"the profile changed; {stage.name} is queued anew", reconciling=True
    )
    return Plan(
        status=ready.status.evolve(run=stage_records.put(run, waiting)),
        summary=summary,
        actions=(StopJob(name=job.name, uid=job.uid),),
        requeue_after_seconds=1.0,
    )


def _reason(stage: StageRecord) -> Reason:
    return Reason(stage.reason) if stage.reason in tuple(Reason) else Reason.FAILED
