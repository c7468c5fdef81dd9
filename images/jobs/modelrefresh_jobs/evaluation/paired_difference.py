"""Means and paired differences of per-item scores.

Candidate and incumbent answer the same items, so what counts is the mean of the per-item
differences and its standard error (arXiv 2411.00640, section 4.2), which is much smaller
than two unpaired errors suggest. Where every score is right or wrong (1 or 0) the items that
only one of the two has right are counted too: with few of them the error is not reliable.
Does not decide whether a difference is good enough.
"""

import math
from collections.abc import Sequence

from modelrefresh.contract.stages.evaluate import Score


def compare(suite: str, metric: str, candidate: Sequence[float], incumbent: Sequence[float] | None) -> Score:
    """The score of one metric from per-item scores 0-1, of one item at the same index, at least one.

    Means, difference and error are rounded to 6 decimals; without an incumbent there is only the candidate's mean.
    """
    counted = _are_counts([*candidate, *(incumbent or ())])
    if incumbent is None:
        right = sum(figure == 1 for figure in candidate) if counted else None
        return Score(suite=suite, metric=metric, items=len(candidate), candidate=_mean(candidate), right=right)
    differences = [ours - theirs for ours, theirs in zip(candidate, incumbent, strict=True)]
    return Score(
        suite=suite,
        metric=metric,
        items=len(candidate),
        candidate=_mean(candidate),
        incumbent=_mean(incumbent),
        difference=_mean(differences),
        error=_standard_error(differences),
        gains=differences.count(1.0) if counted else None,
        losses=differences.count(-1.0) if counted else None,
    )


def _are_counts(figures: Sequence[float]) -> bool:
    """Whether every item is right (1) or wrong (0), and nothing between."""
    return all(figure in (0.0, 1.0) for figure in figures)


def _mean(values: Sequence[float]) -> float:
    return round(math.fsum(values) / len(values), 6)


def _standard_error(values: Sequence[float]) -> float | None:
    count = len(values)
    if count < 2:  # noqa: PLR2004 -- one value has no spread
        return None
    mean = math.fsum(values) / count
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return round(math.sqrt(variance / count), 6)
