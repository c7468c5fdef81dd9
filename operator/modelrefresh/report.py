"""What is said of an object: conditions and phase from the plan, and the events of what changed.

Pure. Conditions follow kstatus; `lastTransitionTime` moves only with the status, so that an
unchanged world renders to an unchanged document. `phase` is for people, nothing reads it.
"""

import dataclasses
import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from modelrefresh.api.conditions import ConditionType, Reason
from modelrefresh.api.status.refresh import RefreshStatus, fit
from modelrefresh.api.status.residual import ResidualStatus
from modelrefresh.api.status.run import Condition, Failure, Outcome, Run, StageRecord
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.actions import Plan, RefreshPlan, ResidualPlan, StatusSummary
from modelrefresh.plan.judging import promotion
from modelrefresh.plan.observed import Meta, ObservedExtraction, ObservedRefresh, S
from modelrefresh.plan.rollout import serving
from modelrefresh.plan.stages import stage_records

_NOT_READY: Final = (Reason.TARGET_NOT_FOUND, Reason.TARGET_CONFLICT, Reason.INVALID_SPEC)
"""Words that take Ready away although a version was rolled out: nobody can say what serves."""
_WARNINGS: Final = (Outcome.REJECTED, Outcome.FAILED, Outcome.ROLLED_BACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """Something worth an event."""

    reason: Reason
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class _Fact:
    """One condition before it has a time."""

    kind: ConditionType
    holds: bool | None
    """None: not known yet."""
    summary: StatusSummary


def refresh(plan: RefreshPlan, observed: ObservedRefresh, now: datetime.datetime) -> RefreshStatus:
    """The status to write: what the plan remembers, and what follows from it for readers."""
    status, summary = plan.status, plan.summary
    ready = status.live is not None and summary.reason not in _NOT_READY
    facts = [
        _Fact(ConditionType.READY, ready, summary),
        *_progress(summary, under_way=_is_under_way(status, summary)),
        _suspended(observed),
        _gates(status),
        _rolled_out(status, summary, observed),
    ]
    run = status.run
    if run is not None:
        current = stage_records.current(run) if run.outcome is None else None
        run = run.evolve(stage=current.name if current else None, progress=current.progress if current else None)
    return fit(
        status.evolve(
            run=run,
            observed_generation=observed.meta.generation,
            phase=summary.reason,
            conditions=_merge(facts, observed.status.conditions, meta=observed.meta, now=now),
        )
    )


def refused(plan: Plan[S], message: str) -> Plan[S]:
    """The plan as it is told when the API server has refused what it wants to write."""
    return dataclasses.replace(plan, summary=StatusSummary(reason=Reason.WRITE_REFUSED, message=message, stalled=True))


def refusal(before: RefreshStatus | ResidualStatus) -> str | None:
    """What was refused by the last pass that wanted to write, in the server's words."""
    told = _find(before.conditions, ConditionType.STALLED)
    stands = told is not None and told.status == "True" and told.reason == Reason.WRITE_REFUSED
    return told.message if told and stands else None


def residual(plan: ResidualPlan, observed: ObservedExtraction, now: datetime.datetime) -> ResidualStatus:
    """The same for an InstructionResidual."""
    facts = [_Fact(ConditionType.READY, plan.status.digest is not None, plan.summary), *_progress(plan.summary)]
    return plan.status.evolve(
        observed_generation=observed.meta.generation,
        phase=plan.summary.reason,
        conditions=_merge(facts, observed.status.conditions, meta=observed.meta, now=now),
    )


def event_records(before: RefreshStatus, after: RefreshStatus) -> tuple[EventRecord, ...]:
    """What changed between two statuses, in the words of their reasons."""
    return (
        *_run_event_records(before.run, after.run),
        *_failures(before, after),
        *_served(before, after),
        *_stalls(before, after),
    )


def residual_event_records(before: ResidualStatus, after: ResidualStatus) -> tuple[EventRecord, ...]:
    """The same for an InstructionResidual."""
    found = [*_failures(before, after), *_stalls(before, after)]
    if after.digest is not None and before.digest is None:
        found.append(EventRecord(reason=Reason.SUCCEEDED, message=f"stored as residuals/{after.digest}"))
        found += _warnings(after.extract) if after.extract else ()
    return tuple(found)


def _run_event_records(before: Run | None, after: Run | None) -> Iterator[EventRecord]:
    if after is None:
        return
    if before is None or before.id != after.id:
        trigger = f"{after.trigger.kind} {after.trigger.detail}".rstrip()
        yield EventRecord(reason=Reason.RUN_OPENED, message=f"run {after.id} opened by {trigger}")
        before = None
    for stage in after.stages:
        old = before.record(stage.name) if before else None
        if stage.state != "Succeeded" or (old and old.state == "Succeeded"):
            continue
        yield EventRecord(
            reason=Reason.STAGE_SUCCEEDED, message=f"{stage.name} of run {after.id}, attempt {stage.attempt}"
        )
        yield from _warnings(stage)
        if stage.name is Stage.EVALUATE and stage.evaluate:
            told = "; ".join(promotion.spell(item) for item in stage.evaluate.verdicts)
            yield EventRecord(
                reason=promotion.reason(stage.evaluate), message=told, warning=not promotion.passed(stage.evaluate)
            )
    if after.outcome is not None and (before is None or before.outcome is None):
        yield EventRecord(reason=Reason(after.outcome.value), message=after.message, warning=after.outcome in _WARNINGS)


def _warnings(stage: StageRecord) -> Iterator[EventRecord]:
    for text in stage.warnings:
        yield EventRecord(reason=Reason.STAGE_WARNING, message=f"{stage.name}: {text}", warning=True)


def _failures(before: RefreshStatus | ResidualStatus, after: RefreshStatus | ResidualStatus) -> Iterator[EventRecord]:
    failure: Failure | None = after.last_failure
    if failure is not None and failure != before.last_failure:
        text = f"{failure.stage} attempt {failure.attempt} of run {failure.run}: {failure.message}"
        yield EventRecord(reason=_known(failure.reason), message=text, warning=True)


def _known(word: str) -> Reason:
    """The reason that a status holds; one of another release counts as a fault without a name."""
    return Reason(word) if word in tuple(Reason) else Reason.INTERNAL_ERROR


def _served(before: RefreshStatus, after: RefreshStatus) -> Iterator[EventRecord]:
    if after.rollout is not None and before.rollout is None:
        yield EventRecord(reason=Reason.ROLLING_OUT, message=f"rolling out {after.rollout.to.version}")
    if after.live is not None and (before.live is None or before.live.digest != after.live.digest):
        rolled_out = _find(after.conditions, ConditionType.ROLLED_OUT)
        yield EventRecord(reason=Reason.SERVING, message=rolled_out.message if rolled_out else after.live.version)


def _stalls(before: RefreshStatus | ResidualStatus, after: RefreshStatus | ResidualStatus) -> Iterator[EventRecord]:
    """A new reason to be stalled; a failed run has its own events."""
    old, new = _find(before.conditions, ConditionType.STALLED), _find(after.conditions, ConditionType.STALLED)
    if new is None or new.status != "True" or new.reason == Reason.FAILED:
        return
    if old is None or (old.status, old.reason) != (new.status, new.reason):
        yield EventRecord(reason=_known(new.reason), message=new.message, warning=True)


def _is_under_way(status: RefreshStatus, summary: StatusSummary) -> bool:
    """An open run or rollout is work, whatever is said of it, unless it waits for a person."""
    if summary.reason in (Reason.SUSPENDED, Reason.AWAITING_APPROVAL):
        return False
    return status.rollout is not None or (status.run is not None and status.run.outcome is None)


def _progress(summary: StatusSummary, *, under_way: bool = False) -> list[_Fact]:
    return [
        _Fact(ConditionType.RECONCILING, (summary.reconciling or under_way) and not summary.stalled, summary),
        _Fact(ConditionType.STALLED, summary.stalled, summary),
    ]


def _suspended(observed: ObservedRefresh) -> _Fact:
    held = observed.spec is not None and observed.spec.suspend
    reason = Reason.SUSPENDED if held else Reason.IDLE
    return _Fact(ConditionType.SUSPENDED, held, StatusSummary(reason=reason, message=""))


def _gates(status: RefreshStatus) -> _Fact:
    """The verdict of the current run, else of the last one that came so far."""
    measured = status.run.record(Stage.EVALUATE) if status.run else None
    if measured is None or measured.evaluate is None:
        known = _find(status.conditions, ConditionType.GATES_PASSED)
        if known is None or known.status == "Unknown":
            return _Fact(
                ConditionType.GATES_PASSED,
                None,
                StatusSummary(reason=Reason.NO_VERDICT, message="no run was judged yet"),
            )
        reason = Reason(known.reason) if known.reason in tuple(Reason) else Reason.NO_VERDICT
        summary = StatusSummary(reason=reason, message=known.message)
        return _Fact(ConditionType.GATES_PASSED, known.status == "True", summary)
    told = "; ".join(promotion.spell(item) for item in measured.evaluate.verdicts)
    summary = StatusSummary(
        reason=promotion.reason(measured.evaluate), message=f"run {status.run.id if status.run else ''}: {told}"
    )
    return _Fact(ConditionType.GATES_PASSED, promotion.passed(measured.evaluate), summary)


def _rolled_out(status: RefreshStatus, summary: StatusSummary, observed: ObservedRefresh) -> _Fact:
    if status.rollout is not None or (status.live is not None and summary.reason in _NOT_READY):
        return _Fact(ConditionType.ROLLED_OUT, False, summary)
    if status.live is None:
        return _Fact(
            ConditionType.ROLLED_OUT, False, StatusSummary(reason=Reason.PENDING, message="nothing was rolled out yet")
        )
    empty = observed.target is not None and observed.target.replicas == 0
    reason = Reason.TARGET_SCALED_TO_ZERO if empty else Reason.SERVING
    served = StatusSummary(reason=reason, message=serving.describe(status.live.version, observed.target))
    return _Fact(ConditionType.ROLLED_OUT, not empty, served)


def _merge(
    facts: Sequence[_Fact],
    before: Sequence[Condition],
    *,
    meta: Meta,
    now: datetime.datetime,
) -> tuple[Condition, ...]:
    return tuple(_condition(fact, _find(before, fact.kind), meta=meta, now=now) for fact in facts)


def _condition(fact: _Fact, old: Condition | None, *, meta: Meta, now: datetime.datetime) -> Condition:
    value = {True: "True", False: "False", None: "Unknown"}[fact.holds]
    return Condition(
        type=fact.kind,
        status=value,
        reason=fact.summary.reason,
        message=fact.summary.message,
        last_transition_time=old.last_transition_time if old and old.status == value else now,
        observed_generation=meta.generation,
    )


def _find(conditions: Sequence[Condition], kind: ConditionType) -> Condition | None:
    return next((condition for condition in conditions if condition.type == kind), None)
