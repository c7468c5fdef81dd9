"""Numbers to verdicts.

Knows one comparison: does the one-sided bound of a measured value (`plan/judging/intervals.py`) clear
what a gate asks for? Whatever is missing, contradicts itself or was measured on a suite that
cannot tell never passes. Knows nothing of clusters, files or models.
"""

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from modelrefresh.api.evaluation import Evaluation, Gate, Versus
from modelrefresh.contract.stages.evaluate import Score
from modelrefresh.plan.judging import intervals
from modelrefresh.plan.judging.intervals import Interval

_ROUNDING: Final = 2e-6
"""How far figures with six digits may lie from what their counts say."""


class Verdict(enum.StrEnum):
    """What a gate says of a candidate."""

    PASS = "Pass"  # noqa: S105 -- a verdict, not a password
    """The measured value surely clears the threshold."""
    FAIL = "Fail"
    """It surely does not."""
    INCONCLUSIVE = "Inconclusive"
    """The threshold lies inside the interval; does not pass."""
    ERROR = "Error"
    """There is no usable measurement, or it can say nothing; does not pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    """One gate's verdict with the numbers behind it."""

    suite: str
    metric: str
    versus: Versus
    needed: float
    """Threshold: of the difference (versus Incumbent) or of the score (Absolute)."""
    seen: float | None = None
    low: float | None = None
    """Lower bound of `seen` at the declared one-sided confidence."""
    high: float | None = None
    candidate: float | None = None
    incumbent: float | None = None
    items: int = 0
    verdict: Verdict
    message: str = ""


def judge(evaluation: Evaluation, scores: Sequence[Score]) -> tuple[GateVerdict, ...]:
    """One verdict per gate, in the gates' order."""
    return tuple(_judge_gate(gate, scores, confidence=float(evaluation.confidence)) for gate in evaluation.gates)


def _judge_gate(gate: Gate, scores: Sequence[Score], *, confidence: float) -> GateVerdict:
    found = [score for score in scores if (score.suite, score.metric) == (gate.suite, gate.metric)]
    if len(found) != 1:
        seen = "no result" if not found else f"{len(found)} results"
        return _error(gate, f"saw {seen} in the evaluation, expected exactly one")
    fault = _fault(found[0])
    if fault:
        return _error(gate, f"the result contradicts itself: {fault}")
    if gate.versus is Versus.ABSOLUTE:
        return _judge_score(gate, found[0], confidence=confidence)
    return _judge_difference(gate, found[0], confidence=confidence)


def _judge_difference(gate: Gate, score: Score, *, confidence: float) -> GateVerdict:
    if score.difference is None or score.incumbent is None:
        return _error(gate, "the incumbent was not measured beside the candidate")
    if _guards_nothing(_needed(gate), score.incumbent):
        return _error(
            gate,
            f"the incumbent scores {score.incumbent:g}, a candidate that knows nothing would do: "
            "mend suite or pattern, or raise minDifference",
        )
    if score.gains is not None and score.losses is not None:
        bounds = intervals.of_difference(score.gains, score.losses, score.items, confidence=confidence)
        return _settle(gate, score, seen=score.difference, bounds=bounds)
    if score.error is None:
        return _error(gate, f"{score.items} items without a count of flips or a standard error")
    bounds = intervals.of_graded_difference(score.difference, score.error, score.items, confidence=confidence)
    return _settle(gate, score, seen=score.difference, bounds=bounds)


def _judge_score(gate: Gate, score: Score, *, confidence: float) -> GateVerdict:
    if score.right is None and score.gains is None:
        bounds = intervals.of_graded_share(score.candidate, score.items, confidence=confidence)
    else:
        bounds = intervals.of_share(round(score.candidate * score.items), score.items, confidence=confidence)
    return _settle(gate, score, seen=score.candidate, bounds=bounds)


def _guards_nothing(needed: float, incumbent: float) -> bool:
    """Whether the gate allows to lose all that there is; -1 says so on purpose, and above 0 it asks for a gain."""
    return -1 < needed <= 0 and incumbent <= -needed


def _fault(score: Score) -> str:
    """What cannot be in one measurement of one metric, with what was seen; empty if it agrees with itself."""
    figures = (score.candidate, score.incumbent, score.difference, score.error)
    if score.items < 1 or not all(math.isfinite(figure) for figure in figures if figure is not None):
        return f"{score.items} items, figures {figures}"
    if not all(0 <= figure <= 1 for figure in (score.candidate, score.incumbent or 0.0, score.error or 0.0)):
        return f"{figures} where scores and their error go from 0 to 1"
    if score.incumbent is not None and score.difference is not None:
        apart = score.candidate - score.incumbent
        if abs(score.difference - apart) > _ROUNDING:
            return f"a difference of {score.difference:g} between scores that are {apart:g} apart"
    return _miscount(score)


def _miscount(score: Score) -> str:
    counts = (score.right, score.gains, score.losses)
    right, gains, losses = (count if count is not None else 0 for count in counts)
    if (score.gains is None) is not (score.losses is None) or min(right, gains, losses) < 0:
        return f"{counts} right, gained and lost"
    if gains + losses > score.items or right > score.items:
        return f"{counts} right, gained and lost of {score.items} items"
    if score.right is not None and abs(right / score.items - score.candidate) > _ROUNDING:
        return f"{right} of {score.items} right where the score is {score.candidate:g}"
    apart = (gains - losses) / score.items
    if score.gains is not None and (score.difference is None or abs(apart - score.difference) > _ROUNDING):
        return f"{gains} gained and {losses} lost of {score.items} where the difference is {score.difference}"
    return _misfit(score, gains, losses) if score.gains is not None else ""


def _misfit(score: Score, gains: int, losses: int) -> str:
    """Counts of flips say that every figure is 0 or 1: the score is a share, has the gains and lacks the losses."""
    share = round(score.candidate * score.items) / score.items
    least, most = gains / score.items - _ROUNDING, 1 - losses / score.items + _ROUNDING
    if least <= score.candidate <= most and abs(share - score.candidate) <= _ROUNDING:
        return ""
    return f"{gains} gained and {losses} lost of {score.items} where the score is {score.candidate:g}"


def _settle(gate: Gate, score: Score, *, seen: float, bounds: Interval) -> GateVerdict:
    needed, low, high = _needed(gate), bounds.low, bounds.high
    if low >= needed:
        verdict, message = Verdict.PASS, ""
    elif high < needed:
        verdict, message = Verdict.FAIL, f"at most {high:+.4f} where {needed:+.4f} is needed"
    else:
        verdict = Verdict.INCONCLUSIVE
        message = f"{needed:+.4f} lies between {low:+.4f} and {high:+.4f}: {score.items} items are too few to tell"
    return GateVerdict(
        suite=gate.suite,
        metric=gate.metric,
        versus=gate.versus,
        needed=needed,
        seen=seen,
        low=low,
        high=high,
        candidate=score.candidate,
        incumbent=score.incumbent,
        items=score.items,
        verdict=verdict,
        message=message,
    )


def _error(gate: Gate, message: str) -> GateVerdict:
    return GateVerdict(
        suite=gate.suite,
        metric=gate.metric,
        versus=gate.versus,
        needed=_needed(gate),
        verdict=Verdict.ERROR,
        message=message,
    )


def _needed(gate: Gate) -> float:
    """The gate's threshold; the schema demands the one that fits `versus`, so absence means the strictest."""
    text = gate.min_difference if gate.versus is Versus.INCUMBENT else gate.min_score
    return float(text) if text is not None else 1.0
