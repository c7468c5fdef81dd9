"""How a run ends: its outcome, its line in the history, what is remembered for the next one."""

import datetime
from dataclasses import dataclass

from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.refresh import Cost, HistoryEntry, RefreshStatus, StageCost
from modelrefresh.api.status.run import Outcome, Run
from modelrefresh.contract.vocabulary import Stage

_JUDGED = (Outcome.PROMOTED, Outcome.REJECTED, Outcome.ROLLED_BACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a run ends."""

    outcome: Outcome
    message: str
    reason: Reason | None = None
    """The outcome's own word if absent."""


def close(status: RefreshStatus, run: Run, end: End, now: datetime.datetime) -> RefreshStatus:
    """The status with this run ended."""
    outcome, message = end.outcome, end.message
    ended = run.evolve(outcome=outcome, end_time=now, reason=end.reason or Reason(outcome.value), message=message)
    line = HistoryEntry(
        run=run.id,
        outcome=outcome,
        version=status.candidate.version if status.candidate else None,
        trigger=run.trigger.kind,
        start_time=run.start_time,
        end_time=now,
        reason=ended.reason or outcome.value,
        message=message,
    )
    status = status.evolve(run=ended, history=(line, *status.history), cost=_cost(status.cost, run))
    if outcome is Outcome.FAILED:
        return status
    status = status.evolve(retries=0, last_failure=None if outcome in _JUDGED else status.last_failure)
    prepared = run.record(Stage.PREPARE)
    if outcome in _JUDGED and prepared and prepared.prepare:
        return status.evolve(judged_inputs=run.inputs, data_fingerprint=prepared.prepare.fingerprint)
    return status


def freshness(run: Run) -> str | None:
    """Date of the newest document that a run has learned, at most the day it was prepared; without dates that day."""
    prepared = run.record(Stage.PREPARE)
    if prepared is None or prepared.prepare is None:
        return None
    prepared_on, newest = prepared.end_time.date() if prepared.end_time else None, _day(prepared.prepare.newest)
    # A stage of an older release may pass on a date of the data's own making, such as 9999-12-31.
    days = [day for day in (prepared_on, newest) if day]
    return min(days).isoformat() if days else None


def _day(text: str | None) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text[:10]) if text else None
    except ValueError:
        return None


def _cost(before: Cost | None, run: Run) -> Cost:
    """Everything spent so far, with this run."""
    spent = {item.stage: item.gpu_seconds for item in before.stages} if before else {}
    for stage in run.stages:
        if stage.gpu_seconds:
            spent[stage.name] = spent.get(stage.name, 0) + stage.gpu_seconds
    tokens = sum(stage.train.tokens for stage in run.stages if stage.train)
    costs = tuple(StageCost(stage=name, gpu_seconds=seconds) for name, seconds in spent.items())
    return Cost(stages=costs, tokens=(before.tokens if before else 0) + tokens)
