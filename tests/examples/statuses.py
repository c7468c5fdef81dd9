"""Builders of status documents as the operator writes them, through its own records.

So the demo's pictures and tables break here, not on a cluster, when a field changes its name.
"""

import datetime
from typing import Any

from modelrefresh.api.status import run as runs
from modelrefresh.api.status import stage_facts
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.contract.vocabulary import Stage

MORNING = datetime.datetime(2026, 11, 23, 8, 0, tzinfo=datetime.UTC)
DIGEST = "sha256-7f3a"


def after(seconds: int) -> datetime.datetime:
    """So long after the run began."""
    return MORNING + datetime.timedelta(seconds=seconds)


def stage(name: Stage, state: runs.StageState, *, seconds: int = 0, progress: str = "") -> runs.StageRecord:
    """The first attempt of a stage in a state, with the time it took."""
    ended = state in (runs.StageState.SUCCEEDED, runs.StageState.FAILED)
    end = after(seconds) if ended else None
    return runs.StageRecord(
        name=name, state=state, attempt=1, start_time=MORNING, end_time=end, progress=progress or None
    )


def document(
    *stages: runs.StageRecord,
    outcome: runs.Outcome | None = None,
    conditions: tuple[runs.Condition, ...] = (),
) -> dict[str, Any]:
    """The status of a ModelRefresh whose run has these stages."""
    trigger = runs.Trigger(kind=runs.TriggerKind.FIRST_SIGHT)
    run = runs.Run(id="5c1e", trigger=trigger, start_time=MORNING, outcome=outcome, stages=stages)
    return RefreshStatus(run=run, conditions=conditions).render()


def condition(kind: str, reason: str, *, truth: str = "True") -> runs.Condition:
    """A condition of this type."""
    return runs.Condition(type=kind, status=truth, reason=reason, last_transition_time=MORNING)


def evaluation(verdict: str = "Pass", message: str = "") -> dict[str, Any]:
    """One gate with its score, as the evaluate stage records them."""
    score = stage_facts.ScoreFacts(
        suite="new-knowledge", metric="exact_match", items=163, candidate=0.9755, incumbent=0.0368,
        difference=0.9387, error=0.0188,
    )  # fmt: skip
    gate = stage_facts.VerdictFacts(
        suite="new-knowledge", metric="exact_match", versus="Incumbent", needed=0.05, seen=0.9387, low=0.9076,
        high=0.9698, verdict=verdict, message=message,
    )  # fmt: skip
    return stage_facts.EvaluateFacts(scores=(score,), verdicts=(gate,)).render()
