"""Numbers to verdicts.

Knows one comparison: does the one-sided bound of a measured value clear what a gate asks
for? A paired difference is bounded by its own standard error (arXiv 2411.00640), a plain
score by Wilson's interval. Whatever is missing, partial, not finite or measured on too few
items never passes. Knows nothing of clusters, files or models.
"""

import enum
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from modelrefresh.api.spec import Evaluation, Gate, Versus
from modelrefresh.contract.result import Score

MIN_ITEMS: Final = 10
"""Fewer items than this are Inconclusive whatever they say: a standard error of so few means nothing."""


class Verdict(enum.StrEnum):
    """What a gate says of a candidate."""

    PASS = "Pass"  # noqa: S105 -- a verdict, not a password
    """The measured value surely clears the threshold."""
    FAIL = "Fail"
    """It surely does not."""
    INCONCLUSIVE = "Inconclusive"
    """The threshold lies inside the interval, or there are too few items; does not pass."""
    ERROR = "Error"
    """There is no usable measurement; does not pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
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


def judge(evaluation: Evaluation, scores: Sequence[Score]) -> tuple[Judgement, ...]:
    """One judgement per gate, in the gates' order."""
    return tuple(_judge_gate(gate, scores, confidence=float(evaluation.confidence)) for gate in evaluation.gates)


def _judge_gate(gate: Gate, scores: Sequence[Score], *, confidence: float) -> Judgement:
    found = [score for score in scores if (score.suite, score.metric) == (gate.suite, gate.metric)]
    if len(found) != 1:
        seen = "no result" if not found else f"{len(found)} results"
        return _error(gate, f"{gate.suite}/{gate.metric}: {seen} in the evaluation, expected exactly one")
    if gate.versus is Versus.ABSOLUTE:
        return _judge_score(gate, found[0], confidence=confidence)
    return _judge_difference(gate, found[0], confidence=confidence)


def _judge_difference(gate: Gate, score: Score, *, confidence: float) -> Judgement:
    if score.difference is None or score.error is None or score.incumbent is None:
        return _error(gate, f"{gate.suite}/{gate.metric}: the incumbent was not measured beside the candidate")
    if not all(map(math.isfinite, (score.difference, score.error, score.candidate, score.incumbent))):
        return _error(gate, f"{gate.suite}/{gate.metric}: a result is not a finite number")
    if score.error < 0:
        return _error(gate, f"{gate.suite}/{gate.metric}: saw the standard error {score.error}, expected none below 0")
    margin = _t_quantile(confidence, freedom=max(1, score.items - 1)) * score.error
    return _settle(gate, score, seen=score.difference, bounds=(score.difference - margin, score.difference + margin))


def _judge_score(gate: Gate, score: Score, *, confidence: float) -> Judgement:
    if not math.isfinite(score.candidate) or not 0 <= score.candidate <= 1:
        return _error(gate, f"{gate.suite}/{gate.metric}: saw {score.candidate}, expected a score from 0 to 1")
    return _settle(
        gate, score, seen=score.candidate, bounds=_wilson(score.candidate, max(1, score.items), confidence=confidence)
    )


def _settle(gate: Gate, score: Score, *, seen: float, bounds: tuple[float, float]) -> Judgement:
    needed, (low, high) = _needed(gate), bounds
    if score.items < MIN_ITEMS:
        verdict, message = Verdict.INCONCLUSIVE, f"only {score.items} items, at least {MIN_ITEMS} are needed"
    elif low >= needed:
        verdict, message = Verdict.PASS, ""
    elif high < needed:
        verdict, message = Verdict.FAIL, f"at most {high:+.4f} where {needed:+.4f} is needed"
    else:
        verdict = Verdict.INCONCLUSIVE
        message = f"{needed:+.4f} lies between {low:+.4f} and {high:+.4f}: {score.items} items are too few to tell"
    return Judgement(
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


def _error(gate: Gate, message: str) -> Judgement:
    return Judgement(
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


def _t_quantile(confidence: float, *, freedom: int) -> float:
    """Student's t quantile by the Cornish-Fisher expansion (Abramowitz and Stegun 26.7.5), two terms."""
    z = statistics.NormalDist().inv_cdf(confidence)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + first / freedom + second / freedom**2


def _wilson(share: float, items: int, *, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a share of `items`, one-sided at both ends."""
    z = statistics.NormalDist().inv_cdf(confidence)
    centre = (share + z * z / (2 * items)) / (1 + z * z / items)
    half = z / (1 + z * z / items) * math.sqrt(share * (1 - share) / items + z * z / (4 * items * items))
    return max(0.0, centre - half), min(1.0, centre + half)
