"""How far a measured share or difference may lie from the true one.

Knows bounds that hold with few items, few flips and many ties: Clopper and Pearson's limits
of a share of right answers; of a paired difference the same limits of its gains and its
losses, put together by squares (Zou and Donner 2008); and for graded figures two bounds that
need their mean and spread alone. `docs/decisions/0014-an-interval-that-holds-with-few-flips.md`
has the measured levels. Knows nothing of gates or thresholds.

Every interval is one-sided at both ends: each end is wrong with at most 1 - confidence.
"""

import math
from dataclasses import dataclass
from typing import Final

_HALVINGS: Final = 50
"""Of the interval in which a limit is looked for; leaves it exact to 15 digits of the measured share."""
_ROUNDING: Final = 1e-6
"""Means arrive with six digits after the point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Where the true value lies."""

    low: float
    high: float


def of_share(right: int, items: int, *, confidence: float) -> Interval:
    """Of the share of right answers (Clopper and Pearson 1934); needs at least one item."""
    miss = 1 - confidence
    return Interval(low=_least(right, items, miss=miss), high=1 - _least(items - right, items, miss=miss))


def of_difference(gains: int, losses: int, items: int, *, confidence: float) -> Interval:
    """Of the difference of two shares over the same items, from -1 to 1.

    Args:
        gains: Items that the candidate alone has right.
        losses: Items that the incumbent alone has right.
        items: All items, at least one.
        confidence: One-sided, of each end.
    """
    worse = _shortfall(gains, losses, items, confidence=confidence)
    better = _shortfall(losses, gains, items, confidence=confidence)
    seen = (gains - losses) / items
    return Interval(low=max(-1.0, seen - worse), high=min(1.0, seen + better))


def of_graded_share(mean: float, items: int, *, confidence: float) -> Interval:
    """Of the mean of figures from 0 to 1 whose spread is unknown (Bentkus 2004, On Hoeffding's inequalities).

    Such a mean strays at most e times as often as a share of right answers with the same true mean.
    """
    miss = (1 - confidence) / math.e
    worst, best = (max(0, math.floor(items * (one - _ROUNDING))) for one in (mean, 1 - mean))
    return Interval(low=_least(worst, items, miss=miss), high=1 - _least(best, items, miss=miss))


def of_graded_difference(mean: float, error: float, items: int, *, confidence: float) -> Interval:
    """Of the mean of differences from -1 to 1 with this standard error (Maurer and Pontil 2009, theorem 4).

    The second term is what ties and rare large differences can hide from the standard error.
    """
    if items < 2:  # noqa: PLR2004 -- one difference has no spread
        return Interval(low=-1.0, high=1.0)
    rarity = math.log(2 / (1 - confidence))
    margin = error * math.sqrt(2 * rarity) + 14 * rarity / (3 * (items - 1))
    return Interval(low=max(-1.0, mean - margin), high=min(1.0, mean + margin))


def _shortfall(gains: int, losses: int, items: int, *, confidence: float) -> float:
    """How far the true difference may lie below the measured one.

    Gains may be fewer and losses more than was seen. They exclude each other, so they stray in opposite
    directions; taken as strongly as the figures or their limits say, the level holds at both ends of the range.
    """
    fewest = of_share(gains, items, confidence=confidence).low
    most = of_share(losses, items, confidence=confidence).high
    fewer, more = gains / items - fewest, most - losses / items
    together = max(_correlation(gains / items, losses / items), _correlation(fewest, most))
    return math.sqrt(fewer**2 + more**2 + 2 * together * fewer * more)


def _correlation(gains: float, losses: float) -> float:
    """Of two shares that exclude each other, without its sign."""
    odds = gains * losses
    return min(1.0, math.sqrt(odds / ((1 - gains) * (1 - losses)))) if odds else 0.0


def _least(count: int, items: int, *, miss: float) -> float:
    """The share at which `count` or more of `items` come up with probability `miss`, a half at most."""
    low, high = 0.0, count / items
    ways = math.lgamma(items + 1) - math.lgamma(count + 1) - math.lgamma(items - count + 1)
    for _ in range(_HALVINGS if count else 0):
        middle = (low + high) / 2
        if _upper_tail(count, items, share=middle, ways=ways) <= miss:
            low = middle
        else:
            high = middle
    return low


def _upper_tail(count: int, items: int, *, share: float, ways: float) -> float:
    """Probability of `count` or more of `items`, for a share below count / items, where terms only shrink."""
    term = math.exp(ways + count * math.log(share) + (items - count) * math.log1p(-share))
    odds, total = share / (1 - share), 0.0
    for seen in range(count, items + 1):
        total += term
        term *= odds * (items - seen) / (seen + 1)
        if term <= total * 1e-16:
            break
    return total
