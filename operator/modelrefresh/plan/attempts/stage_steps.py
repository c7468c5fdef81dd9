"""The next step of the active run: wait for a stage, answer its failure, start the next one.

Rules of `decide.py`, over one run that is open and wanted; the steps with a Job are `job_steps`.
"""

import datetime

from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.refresh import RefreshStatus, VersionRef
from modelrefresh.api.status.run import Outcome, Run, StageRecord, StageState
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.actions import Plan, RefreshPlan, SealVersion, StartStage, StatusSummary
from modelrefresh.plan.attempts import job_steps, retries, stage_results
from modelrefresh.plan.attempts.job_steps import Step
from modelrefresh.plan.observed import ReadyRefresh
from modelrefresh.plan.rollout import serving
from modelrefresh.plan.runs import run_end
from modelrefresh.plan.runs.run_end import End
from modelrefresh.plan.stages import order, stage_records


def give_up(ready: ReadyRefresh, now: datetime.datetime) -> RefreshPlan | None:
    """A stage has failed for good: the run ends, what serves stays."""
    run, stage = _current(ready)
    if run is None or stage is None or stage.state is not StageState.FAILED:
        return None
    text = f"{stage.name} attempt {stage.attempt} failed: {stage.reason}: {stage.message}"
    status = run_end.close(
        ready.status, run, End(outcome=Outcome.FAILED, message=text, reason=stage_results.reason_of(stage)), now
    )
    return Plan(
        status=status,
        summary=StatusSummary(reason=Reason.FAILED, message=text, stalled=True),
        requeue_after_seconds=0.0,
    )


def register_stock(ready: ReadyRefresh, _: datetime.datetime) -> RefreshPlan | None:
    """The stock model is imported: seal it as version zero."""
    run = ready.status.run
    imported = run.record(Stage.IMPORT) if run else None
    if run is None or imported is None or imported.digest is None:
        return None
    if ready.status.stock is None and run.outcome is Outcome.SUPERSEDED:
        # It was made of an older spec; the next run imports what is wanted now.
        return None
    name = serving.name_of(ready, imported.digest)
    if ready.status.stock is not None and any(item.name == name for item in ready.versions):
        return None
    status = ready.status.evolve(stock=VersionRef(version=name, digest=imported.digest))
    seal = SealVersion(name=name, digest=imported.digest, run=run, stock=True)
    summary = StatusSummary(reason=Reason.RUNNING, message=f"registered the stock model as {name}", reconciling=True)
    return Plan(status=status, summary=summary, actions=(seal,), requeue_after_seconds=0.0)


def skip_unchanged(ready: ReadyRefresh, now: datetime.datetime) -> RefreshPlan | None:
    """The prepare stage found the data of the last judged run again."""
    run = ready.status.run
    prepared = run.record(Stage.PREPARE) if run else None
    if run is None or run.outcome is not None or prepared is None or prepared.prepare is None:
        return None
    if not prepared.prepare.unchanged:
        return None
    text = f"the data has not changed since the last judged run ({prepared.prepare.documents} documents)"
    status = run_end.close(ready.status, run, End(outcome=Outcome.SKIPPED, message=text), now)
    return Plan(status=status, summary=StatusSummary(reason=Reason.SKIPPED, message=text), requeue_after_seconds=0.0)


def await_stage(ready: ReadyRefresh, _: datetime.datetime) -> RefreshPlan | None:
    """A stage is at work: look again later; replace a Job that can never start."""
    step = _step(ready)
    return job_steps.wait(step) if step else None


def start_stage(ready: ReadyRefresh, now: datetime.datetime) -> RefreshPlan | None:
    """Start the next attempt of the first stage that has not succeeded."""
    step = _step(ready)
    return job_steps.begin(step, now) if step else None


def _current(ready: ReadyRefresh) -> tuple[Run | None, StageRecord | None]:
    run = ready.status.run
    if run is None or run.outcome is not None:
        return None, None
    return run, stage_records.current(run)


def _step(ready: ReadyRefresh) -> Step[RefreshStatus] | None:
    run, stage = _current(ready)
    if run is None or stage is None:
        return None

    def start(record: StageRecord) -> tuple[StageRecord, StartStage]:
        action = start_action(ready, run, record)
        noted = order.of(record.name).note(action.request.section)
        return record.evolve(gpus=action.gpus * action.nodes, **noted), action

    return Step(
        run=run.id,
        stage=stage,
        jobs=ready.jobs,
        pods=ready.pods,
        profile_hash=ready.profile_hash,
        due=retries.due(stage, failure=ready.status.last_failure, profile=ready.profile_hash),
        put=lambda record: ready.status.evolve(run=stage_records.put(run, record)),
        start=start,
    )


def start_action(ready: ReadyRefresh, run: Run, stage: StageRecord) -> StartStage:
    """What starts the next attempt of a stage."""
    this = order.of(stage.name)
    request = StageRequest(
        stage=stage.name,
        owner=ready.meta.name,
        run=run.id,
        attempt=stage.attempt,
        allowed=ready.profile.allowed_sources,
        section=this.ask(ready, run),
    )
    size = this.size(ready.spec)
    return StartStage(request=request, profile=ready.profile_hash, gpus=size.gpus, nodes=size.nodes)
