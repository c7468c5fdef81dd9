"""Builders of status documents as the operator writes them, through its own records.

So the demo's pictures and tables break here, not on a cluster, when a field changes its name.
"""

import datetime
from typing import Any

from modelrefresh.api import run_status, stage_facts, status
from modelrefresh.contract.vocabulary import Stage

MORNING = datetime.datetime(2026, 11, 23, 8, 0, tzinfo=datetime.UTC)
DIGEST = "sha256-7f3a"


def after(seconds: int) -> datetime.datetime:
    """So long after the run began."""
    return MORNING + datetime.timedelta(seconds=seconds)


def stage(name: Stage, state: run_status.StageState, *, seconds: int = 0, progress: str = "") -> run_status.StageRecord:
    """The first attempt of a stage in a state, with the time it took."""
    ended = state in (run_status.StageState.SUCCEEDED, run_status.StageState.FAILED)
    end = after(seconds) if ended else None
    return run_status.StageRecord(
        name=name, state=state, attempt=1, start_time=MORNING, end_time=end, progress=progress or None
    )


def document(
    *stages: run_status.StageRecord,
    outcome: run_status.Outcome | None = None,
    conditions: tuple[run_status.Condition, ...] = (),
) -> dict[str, Any]:
    """The status of a ModelRefresh whose run has these stages."""
    trigger = run_status.Trigger(kind=run_status.TriggerKind.FIRST_SIGHT)
    run = run_status.Run(id="5c1e", trigger=trigger, start_time=MORNING, outcome=outcome, stages=stages)
    return status.render(status.RefreshStatus(run=run, conditions=conditions))


def condition(kind: str, reason: str, *, truth: str = "True") -> run_status.Condition:
    """A condition of this type."""
    return run_status.Condition(type=kind, status=truth, reason=reason, last_transition_time=MORNING)


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
    return status.render(stage_facts.EvaluateFacts(scores=(score,), verdicts=(gate,)))
