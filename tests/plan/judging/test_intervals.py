"""How often an interval is wrong, summed exactly over everything that can be measured."""

import functools
import math
import random
import statistics
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelrefresh.plan.judging import intervals

CONFIDENCE = 0.95
THRESHOLDS = (-0.1, -0.05, -0.02, 0.0, 0.02, 0.05)
SUITES = 30
CELLS = 8
"""Per suite. A seeded sample: n from 10 to 1,000 and flip shares from 0.005 to 0.2, evenly on a logarithmic scale."""
FAR = 1e-9
"""Probabilities that are left out of sums."""


def chances(items: int, share: float) -> Iterator[tuple[int, float]]:
    """The counts that come up at all, each with its probability."""
    for count in range(items + 1):
        if share in (0.0, 1.0):
            chance = float(count == items * share)
        else:
            ways = math.lgamma(items + 1) - math.lgamma(count + 1) - math.lgamma(items - count + 1)
            chance = math.exp(ways + count * math.log(share) + (items - count) * math.log1p(-share))
        if chance > FAR:
            yield count, chance


@functools.cache
def low_of(gains: int, losses: int, items: int) -> float:
    return intervals.of_difference(gains, losses, items, confidence=CONFIDENCE).low


def passes(items: int, *, gain: float, loss: float, needed: float) -> float:
    """Probability that the lower bound clears what is needed.

    It falls with every loss and rises with every gain, so one walk along the edge is enough.
    """
    total, allowed = 0.0, -1
    for gains, chance in chances(items, gain):
        rest = dict(chances(items - gains, loss / (1 - gain)))
        while allowed < max(rest) and low_of(gains, allowed + 1, items) >= needed:
            allowed += 1
        total += chance * sum(share for losses, share in rest.items() if losses <= allowed)
    return total


def a_suite(seed: int) -> tuple[int, list[tuple[float, float]]]:
    """A number of items, with thresholds and flip shares."""
    rng = random.Random(seed)  # noqa: S311 -- a sample of cells
    items = round(10 ** rng.uniform(1, 3))
    cells = [(rng.choice(THRESHOLDS), 10 ** rng.uniform(math.log10(0.005), math.log10(0.2))) for _ in range(CELLS)]
    return items, [(needed, max(flips, abs(needed))) for needed, flips in cells]


@pytest.mark.parametrize("seed", range(SUITES))
def test_a_difference_at_the_threshold_passes_in_at_most_the_declared_share(seed: int) -> None:
    items, cells = a_suite(seed)
    found = {
        (items, needed, flips): passes(items, gain=(flips + needed) / 2, loss=(flips - needed) / 2, needed=needed)
        for needed, flips in cells
    }
    assert {cell: share for cell, share in found.items() if share > 1 - CONFIDENCE} == {}


@pytest.mark.parametrize(
    ("items", "gain", "loss", "needed", "share"),
    [(622, 0.02, 0.02, -0.08, 0.999), (393, 0.005, 0.005, -0.05, 0.999), (163, 0.2, 0.02, 0.05, 0.98)],
)
def test_what_is_good_enough_passes_nearly_always(
    items: int, gain: float, loss: float, needed: float, share: float
) -> None:
    assert passes(items, gain=gain, loss=loss, needed=needed) >= share


def test_hundreds_of_items_without_a_flip_say_much_and_ten_say_little() -> None:
    assert low_of(0, 0, 393) == pytest.approx(-(1 - 0.05 ** (1 / 393)))
    assert low_of(0, 0, 10) == pytest.approx(-(1 - 0.05 ** (1 / 10)))


COUNTS = st.integers(1, 400).flatmap(
    lambda items: st.integers(0, items).flatmap(
        lambda gains: st.tuples(st.just(items), st.just(gains), st.integers(0, items - gains))
    )
)


@settings(deadline=None)  # a busy machine is no fault
@given(COUNTS)
def test_the_bounds_swap_with_candidate_and_incumbent(counts: tuple[int, int, int]) -> None:
    items, gains, losses = counts
    forth = intervals.of_difference(gains, losses, items, confidence=CONFIDENCE)
    back = intervals.of_difference(losses, gains, items, confidence=CONFIDENCE)
    assert (forth.low, forth.high) == (-back.high, -back.low)
    assert -1 <= forth.low <= (gains - losses) / items <= forth.high <= 1


@settings(deadline=None)  # a busy machine is no fault
@given(COUNTS)
def test_a_loss_lowers_the_bound_and_a_gain_raises_it(counts: tuple[int, int, int]) -> None:
    items, gains, losses = counts
    if gains + losses < items > 2:  # of two items nothing passes, and two gains are bounded a little lower than one
        assert low_of(gains, losses + 1, items) <= low_of(gains, losses, items) <= low_of(gains + 1, losses, items)


@pytest.mark.parametrize(("gains", "losses"), [(0.1, 0.1), (0.02, 0.05), (0.4, 0.1)])
def test_with_many_items_the_bound_is_that_of_the_normal_distribution(gains: float, losses: float) -> None:
    items = 100_000
    spread = math.sqrt((gains + losses - (gains - losses) ** 2) / items)
    low = low_of(round(gains * items), round(losses * items), items)
    assert (gains - losses - low) / spread == pytest.approx(statistics.NormalDist().inv_cdf(CONFIDENCE), rel=0.03)


@pytest.mark.parametrize("items", [1, 3, 10, 40, 200])
@pytest.mark.parametrize("share", [0.01, 0.05, 0.3, 0.5, 0.9, 0.99])
def test_a_share_of_right_answers_is_overrated_in_at_most_the_declared_share(items: int, share: float) -> None:
    wrong = sum(
        chance
        for right, chance in chances(items, share)
        if intervals.of_share(right, items, confidence=CONFIDENCE).low > share
    )
    assert wrong <= 1 - CONFIDENCE


@pytest.mark.parametrize("figure", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("items", [2, 10, 50, 200])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.95])
def test_the_mean_of_graded_figures_is_overrated_in_at_most_the_declared_share(
    figure: float, items: int, share: float
) -> None:
    wrong = sum(
        chance
        for count, chance in chances(items, share)
        if intervals.of_graded_share(count * figure / items, items, confidence=CONFIDENCE).low > figure * share
    )
    assert wrong <= 1 - CONFIDENCE


@pytest.mark.parametrize("loss", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("items", [10, 50, 200, 1000])
@pytest.mark.parametrize("share", [0.005, 0.02, 0.1, 0.5])
def test_graded_differences_with_many_ties_are_overrated_in_at_most_the_declared_share(
    loss: float, items: int, share: float
) -> None:
    """Each item loses this much with this probability, else it is a tie."""
    wrong = 0.0
    for count, chance in chances(items, share):
        error = loss * math.sqrt(count * (items - count) / items / (items - 1) / items)
        found = intervals.of_graded_difference(-loss * count / items, error, items, confidence=CONFIDENCE)
        wrong += chance * (found.low > -loss * share)
    assert wrong <= 1 - CONFIDENCE


def test_a_single_graded_difference_says_nothing() -> None:
    found = intervals.of_graded_difference(0.4, 0.0, 1, confidence=CONFIDENCE)
    assert (found.low, found.high) == (-1, 1)
