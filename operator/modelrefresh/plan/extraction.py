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
from modelrefresh.contract.stage_request import StageInput
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan import prerequisites, profiles
from modelrefresh.plan.actions import Action, AddFinalizer, RemoveFinalizer, ResidualPlan, StartStage, Word
from modelrefresh.plan.observed import JobState, Meta, ResidualObserved
from modelrefresh.plan.stages import retries, stage_state

_LOOK_SECONDS: Final = 15.0
_RETRY_SECONDS: Final = 60
_RETRY_DOUBLINGS: Final = 6

Rule: TypeAlias = Callable[[ResidualObserved, datetime.datetime], ResidualPlan | None]


def decide(seen: ResidualObserved, now: datetime.datetime) -> ResidualPlan:
    """Answer with the first rule that has something to say."""
    seen = dataclasses.replace(seen, status=_absorb(seen, now))
    for rule in RULES:
        if (plan := rule(seen, now)) is not None:
            return plan
    raise AssertionError("_start always answers")


def _clean_up(seen: ResidualObserved, _: datetime.datetime) -> ResidualPlan | None:
    if not seen.meta.deleting:
        return None
    word = Word(reason=Reason.DELETING, message="stopping the Job", working=True)
    if seen.jobs or seen.pods:
        return _plan(seen, word, actions=prerequisites.stop(seen.jobs, finished=True), wake=5.0)
    return _plan(seen, word, actions=(RemoveFinalizer(),) if seen.meta.finalizer else ())


def _keep(seen: ResidualObserved, _: datetime.datetime) -> ResidualPlan | None:
    if seen.meta.finalizer:
        return None
    word = Word(reason=Reason.PENDING, message="seen for the first time", working=True)
    return _plan(seen, word, actions=(AddFinalizer(),), wake=0.0)


def _refuse_bad_spec(seen: ResidualObserved, _: datetime.datetime) -> ResidualPlan | None:
    if seen.spec is not None:
        return None
    return _plan(seen, Word(reason=Reason.INVALID_SPEC, message="; ".join(seen.faults), stalled=True))


def _done(seen: ResidualObserved, _: datetime.datetime) -> ResidualPlan | None:
    if seen.status.digest is None:
        return None
    return _plan(seen, Word(reason=Reason.SUCCEEDED, message=f"stored as residuals/{seen.status.digest}"))


def _require(seen: ResidualObserved, _: datetime.datetime) -> ResidualPlan | None:
    """All that is missing, at once."""
    spec = seen.spec
    assert spec is not None  # noqa: S101 -- _refuse_bad_spec came before
    lacks = [
        *profiles.lacks(spec.profile, seen, uris=[spec.base.uri, spec.instruct.uri]),
        *prerequisites.claims(seen.missing_claims, seen.meta.namespace),
    ]
    if not lacks:
        return None
    return _plan(seen, Word(reason=lacks[0].reason, message=prerequisites.tell(lacks), stalled=True), wake=30.0)


def _await(seen: ResidualObserved, _: datetime.datetime) -> ResidualPlan | None:
    stage = _stage(seen)
    if not stage.at_work:
        return None
    job = stage_state.find(seen.jobs, run=_run(seen), stage=stage)
    if job is None or job.deleting:
        word = Word(reason=Reason.RUNNING, message=f"creating extract attempt {stage.attempt}", working=True)
        return _plan(seen, word, actions=() if job or seen.pods else (_start_action(seen, stage),), wake=2.0)
    if job.state is JobState.QUEUED and job.profile != seen.profile_hash:
        waiting = stage.but(state=StageState.WAITING, reason=Reason.PENDING, message="the profile changed")
        word = Word(reason=Reason.QUEUED, message="the profile changed; extract is queued anew", working=True)
        return _plan(_put(seen, waiting), word, actions=prerequisites.stop(seen.jobs), wake=1.0)
    return _plan(seen, stage_state.told(stage, "extract"), wake=_LOOK_SECONDS)


def _start(seen: ResidualObserved, now: datetime.datetime) -> ResidualPlan:
    """Always answers: start, wait before the next attempt, or say that it has failed."""
    stage = _stage(seen)
    due = _due(seen, stage)
    if due is not None and now < due:
        over = stage.state is StageState.FAILED or retries.is_lasting(stage)
        text = f"extract attempt {stage.attempt} failed: {stage.message}; again at {due:%H:%M:%S} UTC"
        word = Word(reason=Reason(stage.reason or Reason.FAILED), message=text, working=not over, stalled=over)
        return _plan(seen, word, wake=(due - now).total_seconds())
    if seen.pods:
        return _plan(seen, Word(reason=Reason.RUNNING, message="waiting for the last pod", working=True), wake=2.0)
    begun = stage.but(
        state=StageState.QUEUED,
        attempt=stage.attempt + 1,
        reason=Reason.QUEUED,
        message="",
        end_time=None,
    )
    word = Word(reason=Reason.RUNNING, message=f"starting extract attempt {begun.attempt}", working=True)
    return _plan(_put(seen, begun), word, actions=(_start_action(seen, begun),), wake=_LOOK_SECONDS)


RULES: Final[tuple[Rule, ...]] = (
    _clean_up,
    _keep,
    _refuse_bad_spec,
    _done,
    _require,
    _await,
    _start,
)


def _absorb(seen: ResidualObserved, now: datetime.datetime) -> ResidualStatus:
    stage, status = _stage(seen), seen.status
    job = stage_state.find(seen.jobs, run=_run(seen), stage=stage)
    if job is None or not stage.at_work:
        return status
    attempts = seen.profile.limits.attempts if seen.profile else 1
    terms = stage_state.Terms(attempts=attempts, evaluation=None, now=now)
    after = stage_state.follow(stage, job, terms)
    status = _put(seen, after).status
    status = status.but(last_failure=stage_state.failure(stage, after, job, terms) or status.last_failure)
    if after.state is StageState.SUCCEEDED and job.result and job.result.extract:
        return status.but(last_failure=None, **dataclasses.asdict(job.result.extract))
    return status


def _due(seen: ResidualObserved, stage: StageRecord) -> datetime.datetime | None:
    """When the next attempt may begin; None for now."""
    failure = seen.status.last_failure
    if stage.state is not StageState.FAILED or stage.end_time is None:
        return retries.due(stage, failure=failure, profile=seen.profile_hash)
    if failure is not None and failure.profile != seen.profile_hash:
        return None
    doublings = min(max(0, stage.attempt - 1), _RETRY_DOUBLINGS)
    return stage.end_time + datetime.timedelta(seconds=_RETRY_SECONDS << doublings)


def run_of(meta: Meta) -> str:
    """Id of the one run that an extraction has."""
    return names.run_id(uid=meta.uid, trigger="extract", inputs="")


def _run(seen: ResidualObserved) -> str:
    """A residual has one run in its life, since its spec never changes."""
    return run_of(seen.meta)


def _stage(seen: ResidualObserved) -> StageRecord:
    return seen.status.extract or StageRecord(name=Stage.EXTRACT)


def _put(seen: ResidualObserved, stage: StageRecord) -> ResidualObserved:
    return dataclasses.replace(seen, status=seen.status.but(extract=stage))


def _start_action(seen: ResidualObserved, stage: StageRecord) -> StartStage:
    assert seen.spec is not None  # noqa: S101 -- _refuse_bad_spec came before
    pair = stage_request.ExtractInput(base=seen.spec.base.uri, instruct=seen.spec.instruct.uri)
    request = StageInput(
        stage=Stage.EXTRACT,
        owner=seen.meta.name,
        run=_run(seen),
        attempt=stage.attempt,
        allowed=seen.profile.allowed_sources if seen.profile else (),
        extract=pair,
    )
    return StartStage(request=request, profile=seen.profile_hash)


def _plan(
    seen: ResidualObserved, word: Word, *, actions: tuple[Action, ...] = (), wake: float | None = None
) -> ResidualPlan:
    return ResidualPlan(status=seen.status, word=word, actions=actions, wake_seconds=wake)
