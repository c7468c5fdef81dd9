"""The one stage of an InstructionResidual: it is cut once and stays.

The same order as `decide.py`, for one stage: rules that answer or stay silent. A residual
that failed is tried again slowly by itself, since a mended file is not an event.
"""

import dataclasses
import datetime
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from modelrefresh.api import names
from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.residual import ResidualStatus
from modelrefresh.api.status.run import StageRecord, StageState
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh.contract.stages.extract import ExtractInput, ExtractSummary
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan import lifecycle, prerequisites, profiles
from modelrefresh.plan.actions import Plan, ResidualPlan, StartStage, StatusSummary
from modelrefresh.plan.attempts import job_steps, retries, stage_results
from modelrefresh.plan.attempts.job_steps import Step
from modelrefresh.plan.observed import Meta, ObservedExtraction

Rule: TypeAlias = Callable[[ObservedExtraction, datetime.datetime], ResidualPlan | None]


def decide(observed: ObservedExtraction, now: datetime.datetime) -> ResidualPlan:
    """Answer with the first rule that has something to say."""
    observed = dataclasses.replace(observed, status=_observe_job(observed, now))
    for rule in RULES:
        if (plan := rule(observed, now)) is not None:
            return plan
    raise AssertionError("_start always answers")


def _refuse_bad_spec(observed: ObservedExtraction, _: datetime.datetime) -> ResidualPlan | None:
    """A spec that cannot be understood is said once."""
    if observed.spec is not None:
        return None
    return Plan(
        status=observed.status,
        summary=StatusSummary(reason=Reason.INVALID_SPEC, message="; ".join(observed.faults), stalled=True),
    )


def _done(observed: ObservedExtraction, _: datetime.datetime) -> ResidualPlan | None:
    """It is stored: nothing is left to do."""
    if observed.status.digest is None:
        return None
    summary = StatusSummary(reason=Reason.SUCCEEDED, message=f"stored as residuals/{observed.status.digest}")
    return Plan(status=observed.status, summary=summary)


def _require(observed: ObservedExtraction, _: datetime.datetime) -> ResidualPlan | None:
    """All that is missing, at once."""
    spec = observed.spec
    assert spec is not None  # noqa: S101 -- _refuse_bad_spec came before
    lacks = [
        *profiles.lacks(spec.profile, observed, named=[spec.base.uri, spec.instruct.uri]),
        *prerequisites.claims(observed.missing_claims, observed.meta.namespace),
    ]
    if not lacks:
        return None
    summary = StatusSummary(reason=lacks[0].reason, message=prerequisites.tell(lacks), stalled=True)
    return Plan(status=observed.status, summary=summary, requeue_after_seconds=lifecycle.LOOK_AGAIN_SECONDS)


def _await(observed: ObservedExtraction, _: datetime.datetime) -> ResidualPlan | None:
    """The stage is at work: look again later; replace a Job that can never start."""
    return job_steps.wait(_step(observed))


def _start(observed: ObservedExtraction, now: datetime.datetime) -> ResidualPlan:
    """Always answers: start the next attempt, or say when it may begin."""
    return job_steps.begin(_step(observed), now)


RULES: Final[tuple[Rule, ...]] = (
    lifecycle.clean_up,
    lifecycle.add_finalizer,
    _refuse_bad_spec,
    _done,
    _require,
    _await,
    _start,
)


def _observe_job(observed: ObservedExtraction, now: datetime.datetime) -> ResidualStatus:
    stage, status = _stage(observed), observed.status
    job = stage_results.find(observed.jobs, run=_run(observed), stage=stage)
    if job is None or not stage.at_work:
        return status
    attempts = observed.profile.limits.attempts if observed.profile else 1
    context = stage_results.AttemptContext(attempts=attempts, now=now, found=found)
    after = stage_results.observe_job(stage, job, context)
    status = _put(observed, after).status
    status = status.evolve(last_failure=stage_results.failure(stage, after, job, context) or status.last_failure)
    if after.state is StageState.SUCCEEDED and job.result and isinstance(job.result.summary, ExtractSummary):
        return status.evolve(last_failure=None, **dataclasses.asdict(job.result.summary))
    return status


def found(_: StageRecord, summary: ExtractSummary) -> dict[str, Any]:
    """Fields of the stage's record; ValidationError for what the status, which takes in all of it, cannot hold."""
    ResidualStatus.of(summary)
    return {"digest": summary.digest}


def _due(observed: ObservedExtraction, stage: StageRecord) -> datetime.datetime | None:
    """When the next attempt may begin; None for now."""
    failure = observed.status.last_failure
    if stage.state is not StageState.FAILED or stage.end_time is None:
        return retries.due(stage, failure=failure, profile=observed.profile_hash)
    if failure is not None and failure.profile != observed.profile_hash:
        return None
    return retries.renewed(stage.end_time, times=stage.attempt - 1)


def run_of(meta: Meta) -> str:
    """Id of the one run that an extraction has."""
    return names.run_id(uid=meta.uid, trigger="extract", inputs="")


def _run(observed: ObservedExtraction) -> str:
    """A residual has one run in its life, since its spec never changes."""
    return run_of(observed.meta)


def _stage(observed: ObservedExtraction) -> StageRecord:
    return observed.status.extract or StageRecord(name=Stage.EXTRACT)


def _step(observed: ObservedExtraction) -> Step[ResidualStatus]:
    stage = _stage(observed)
    return Step(
        run=_run(observed),
        stage=stage,
        jobs=observed.jobs,
        pods=observed.pods,
        profile_hash=observed.profile_hash,
        due=_due(observed, stage),
        put=lambda record: _put(observed, record).status,
        start=lambda record: (record, _start_action(observed, record)),
    )


def _put(observed: ObservedExtraction, stage: StageRecord) -> ObservedExtraction:
    return dataclasses.replace(observed, status=observed.status.evolve(extract=stage))


def _start_action(observed: ObservedExtraction, stage: StageRecord) -> StartStage:
    assert observed.spec is not None  # noqa: S101 -- _refuse_bad_spec came before
    pair = ExtractInput(base=observed.spec.base.uri, instruct=observed.spec.instruct.uri)
    request = StageRequest(
        stage=Stage.EXTRACT,
        owner=observed.meta.name,
        run=_run(observed),
        attempt=stage.attempt,
        allowed=observed.profile.allowed_sources if observed.profile else (),
        section=pair,
    )
    return StartStage(request=request, profile=observed.profile_hash)
