"""The one stage of an InstructionResidual: cut it once, keep it for ever.

The same order as `decide.py`, for one stage: rules that answer or stay silent. A residual
that failed is tried again slowly by itself, since a mended file is not an event.
"""

import dataclasses
import datetime
from collections.abc import Callable
from typing import Final, TypeAlias

from modelrefresh.api import names
from modelrefresh.api.conditions import Reason
from modelrefresh.api.run_status import StageRecord, StageState
from modelrefresh.api.status import ResidualStatus
from modelrefresh.contract import stage_request
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan import prerequisites, profiles
from modelrefresh.plan.actions import Action, AddFinalizer, RemoveFinalizer, ResidualPlan, StartStage, StatusSummary
from modelrefresh.plan.observed import JobState, Meta, ObservedExtraction
from modelrefresh.plan.stages import retries, stage_state

_LOOK_SECONDS: Final = 15.0
_RETRY_SECONDS: Final = 60
_RETRY_DOUBLINGS: Final = 6

Rule: TypeAlias = Callable[[ObservedExtraction, datetime.datetime], ResidualPlan | None]


def decide(observed: ObservedExtraction, now: datetime.datetime) -> ResidualPlan:
    """Answer with the first rule that has something to say."""
    observed = dataclasses.replace(observed, status=_absorb(observed, now))
    for rule in RULES:
        if (plan := rule(observed, now)) is not None:
            return plan
    raise AssertionError("_start always answers")


def _clean_up(observed: ObservedExtraction, _: datetime.datetime) -> ResidualPlan | None:
    """Deletion: the Job first, then the finalizer; what was stored stays."""
    if not observed.meta.deleting:
        return None
    summary = StatusSummary(reason=Reason.DELETING, message="stopping the Job", reconciling=True)
    if observed.jobs or observed.pods:
        return _plan(observed, summary, actions=prerequisites.stop(observed.jobs, finished=True), wake=5.0)
    return _plan(observed, summary, actions=(RemoveFinalizer(),) if observed.meta.finalizer else ())


def _add_finalizer(observed: ObservedExtraction, _: datetime.datetime) -> ResidualPlan | None:
    """First sight: hold the object until its Job can be cleaned up."""
    if observed.meta.finalizer:
        return None
    summary = StatusSummary(reason=Reason.PENDING, message="seen for the first time", reconciling=True)
    return _plan(observed, summary, actions=(AddFinalizer(),), wake=0.0)


def _refuse_bad_spec(observed: ObservedExtraction, _: datetime.datetime) -> ResidualPlan | None:
    """A spec that cannot be understood is said once."""
    if observed.spec is not None:
        return None
    return _plan(observed, StatusSummary(reason=Reason.INVALID_SPEC, message="; ".join(observed.faults), stalled=True))


def _done(observed: ObservedExtraction, _: datetime.datetime) -> ResidualPlan | None:
    """It is stored: nothing is left to do."""
    if observed.status.digest is None:
        return None
    return _plan(
        observed, StatusSummary(reason=Reason.SUCCEEDED, message=f"stored as residuals/{observed.status.digest}")
    )


def _require(observed: ObservedExtraction, _: datetime.datetime) -> ResidualPlan | None:
    """All that is missing, at once."""
    spec = observed.spec
    assert spec is not None  # noqa: S101 -- _refuse_bad_spec came before
    lacks = [
        *profiles.lacks(spec.profile, observed, uris=[spec.base.uri, spec.instruct.uri]),
        *prerequisites.claims(observed.missing_claims, observed.meta.namespace),
    ]
    if not lacks:
        return None
    return _plan(
        observed, StatusSummary(reason=lacks[0].reason, message=prerequisites.tell(lacks), stalled=True), wake=30.0
    )


def _await(observed: ObservedExtraction, _: datetime.datetime) -> ResidualPlan | None:
    """The stage is at work: look again later; replace a Job that can never start."""
    stage = _stage(observed)
    if not stage.at_work:
        return None
    job = stage_state.find(observed.jobs, run=_run(observed), stage=stage)
    if job is None or job.deleting:
        summary = StatusSummary(
            reason=Reason.RUNNING, message=f"creating extract attempt {stage.attempt}", reconciling=True
        )
        return _plan(
            observed, summary, actions=() if job or observed.pods else (_start_action(observed, stage),), wake=2.0
        )
    if job.state is JobState.QUEUED and job.profile != observed.profile_hash:
        waiting = stage.evolve(state=StageState.WAITING, reason=Reason.PENDING, message="the profile changed")
        summary = StatusSummary(
            reason=Reason.QUEUED, message="the profile changed; extract is queued anew", reconciling=True
        )
        return _plan(_put(observed, waiting), summary, actions=prerequisites.stop(observed.jobs), wake=1.0)
    return _plan(observed, stage_state.told(stage, "extract"), wake=_LOOK_SECONDS)


def _start(observed: ObservedExtraction, now: datetime.datetime) -> ResidualPlan:
    """Always answers: start, wait before the next attempt, or say that it has failed."""
    stage = _stage(observed)
    due = _due(observed, stage)
    if due is not None and now < due:
        over = stage.state is StageState.FAILED or retries.is_lasting(stage)
        text = f"extract attempt {stage.attempt} failed: {stage.message}; again at {due:%H:%M:%S} UTC"
        summary = StatusSummary(
            reason=Reason(stage.reason or Reason.FAILED), message=text, reconciling=not over, stalled=over
        )
        return _plan(observed, summary, wake=(due - now).total_seconds())
    if observed.pods:
        return _plan(
            observed,
            StatusSummary(reason=Reason.RUNNING, message="waiting for the last pod", reconciling=True),
            wake=2.0,
        )
    begun = stage.evolve(
        state=StageState.QUEUED,
        attempt=stage.attempt + 1,
        reason=Reason.QUEUED,
        message="",
        end_time=None,
    )
    summary = StatusSummary(
        reason=Reason.RUNNING, message=f"starting extract attempt {begun.attempt}", reconciling=True
    )
    return _plan(_put(observed, begun), summary, actions=(_start_action(observed, begun),), wake=_LOOK_SECONDS)


RULES: Final[tuple[Rule, ...]] = (
    _clean_up,
    _add_finalizer,
    _refuse_bad_spec,
    _done,
    _require,
    _await,
    _start,
)


def _absorb(observed: ObservedExtraction, now: datetime.datetime) -> ResidualStatus:
    stage, status = _stage(observed), observed.status
    job = stage_state.find(observed.jobs, run=_run(observed), stage=stage)
    if job is None or not stage.at_work:
        return status
    attempts = observed.profile.limits.attempts if observed.profile else 1
    context = stage_state.AttemptContext(attempts=attempts, evaluation=None, now=now)
    after = stage_state.follow(stage, job, context)
    status = _put(observed, after).status
    status = status.evolve(last_failure=stage_state.failure(stage, after, job, context) or status.last_failure)
    if after.state is StageState.SUCCEEDED and job.result and job.result.extract:
        return status.evolve(last_failure=None, **dataclasses.asdict(job.result.extract))
    return status


def _due(observed: ObservedExtraction, stage: StageRecord) -> datetime.datetime | None:
    """When the next attempt may begin; None for now."""
    failure = observed.status.last_failure
    if stage.state is not StageState.FAILED or stage.end_time is None:
        return retries.due(stage, failure=failure, profile=observed.profile_hash)
    if failure is not None and failure.profile != observed.profile_hash:
        return None
    doublings = min(max(0, stage.attempt - 1), _RETRY_DOUBLINGS)
    return stage.end_time + datetime.timedelta(seconds=_RETRY_SECONDS << doublings)


def run_of(meta: Meta) -> str:
    """Id of the one run that an extraction has."""
    return names.run_id(uid=meta.uid, trigger="extract", inputs="")


def _run(observed: ObservedExtraction) -> str:
    """A residual has one run in its life, since its spec never changes."""
    return run_of(observed.meta)


def _stage(observed: ObservedExtraction) -> StageRecord:
    return observed.status.extract or StageRecord(name=Stage.EXTRACT)


def _put(observed: ObservedExtraction, stage: StageRecord) -> ObservedExtraction:
    return dataclasses.replace(observed, status=observed.status.evolve(extract=stage))


def _start_action(observed: ObservedExtraction, stage: StageRecord) -> StartStage:
    assert observed.spec is not None  # noqa: S101 -- _refuse_bad_spec came before
    pair = stage_request.ExtractInput(base=observed.spec.base.uri, instruct=observed.spec.instruct.uri)
    request = StageRequest(
        stage=Stage.EXTRACT,
        owner=observed.meta.name,
        run=_run(observed),
        attempt=stage.attempt,
        allowed=observed.profile.allowed_sources if observed.profile else (),
        extract=pair,
    )
    return StartStage(request=request, profile=observed.profile_hash)


def _plan(
    observed: ObservedExtraction, summary: StatusSummary, *, actions: tuple[Action, ...] = (), wake: float | None = None
) -> ResidualPlan:
    return ResidualPlan(status=observed.status, summary=summary, actions=actions, requeue_after_seconds=wake)
