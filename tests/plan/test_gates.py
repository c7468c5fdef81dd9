"""Numbers to verdicts: what passes, what fails, and everything that never passes."""

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrefresh.api.spec import Evaluation
from modelrefresh.contract.result import Score
from modelrefresh.plan import gates
from modelrefresh.plan.gates import MIN_ITEMS, Verdict
from tests import builders


def an_evaluation(**gate: str) -> Evaluation:
    """One suite, one gate."""
    edits = {f"spec.evaluation.gates[0].{name}": value for name, value in gate.items()}
    if gate.get("versus") == "Absolute":
        edits["spec.evaluation.gates[0].minDifference"] = builders.REMOVED
    return builders.refresh_spec(edits).evaluation


def a_score(*, difference: float | None = 0.1, error: float | None = 0.01, items: int = 400, **other: object) -> Score:
    """A measurement of the one suite."""
    values = {"suite": "knowledge", "metric": "exact_match", "candidate": 0.6, "incumbent": 0.5}
    return Score(**{**values, "items": items, "difference": difference, "error": error, **other})  # type: ignore[arg-type]


def verdict_of(evaluation: Evaluation, *scores: Score) -> Verdict:
    """The verdict of the only gate."""
    return gates.judge(evaluation, scores)[0].verdict


@pytest.mark.parametrize(
    ("difference", "error", "needed", "expected"),
    [
        (0.10, 0.01, "0.05", Verdict.PASS),
        (0.10, 0.05, "0.05", Verdict.INCONCLUSIVE),
        (0.00, 0.01, "0.05", Verdict.FAIL),
        (-0.01, 0.001, "-0.02", Verdict.PASS),
        (-0.10, 0.01, "-0.02", Verdict.FAIL),
        (0.00, 0.00, "0.00", Verdict.PASS),
        (0.00, 0.00, "0.01", Verdict.FAIL),
    ],
)
def test_a_difference_passes_when_its_lower_bound_clears_the_threshold(
    difference: float, error: float, needed: str, expected: Verdict
) -> None:
    assert verdict_of(an_evaluation(minDifference=needed), a_score(difference=difference, error=error)) is expected


@pytest.mark.parametrize(
    ("candidate", "needed", "expected"),
    [(0.95, "0.9", Verdict.PASS), (0.5, "0.9", Verdict.FAIL), (0.91, "0.9", Verdict.INCONCLUSIVE)],
)
def test_a_plain_score_passes_when_wilsons_lower_bound_clears_the_threshold(
    candidate: float, needed: str, expected: Verdict
) -> None:
    assert verdict_of(an_evaluation(versus="Absolute", minScore=needed), a_score(candidate=candidate)) is expected


@pytest.mark.parametrize(
    "scores",
    [
        (),
        (a_score(suite="other"),),
        (a_score(metric="contains"),),
        (a_score(), a_score()),
        (a_score(incumbent=None, difference=None, error=None),),
        (a_score(difference=math.nan),),
        (a_score(error=math.inf),),
        (a_score(candidate=math.nan),),
    ],
    ids=["none", "suite", "metric", "twice", "no-incumbent", "nan", "inf", "nan-candidate"],
)
def test_a_missing_or_damaged_measurement_is_an_error(scores: tuple[Score, ...]) -> None:
    assert verdict_of(an_evaluation(), *scores) is Verdict.ERROR


@pytest.mark.parametrize("score", [-0.1, 1.1, math.nan])
def test_a_score_outside_its_range_is_an_error(score: float) -> None:
    assert verdict_of(an_evaluation(versus="Absolute", minScore="0.1"), a_score(candidate=score)) is Verdict.ERROR


def test_too_few_items_are_inconclusive_however_good_they_look() -> None:
    assert verdict_of(an_evaluation(), a_score(difference=1.0, error=0.0, items=MIN_ITEMS - 1)) is Verdict.INCONCLUSIVE


@given(
    difference=st.floats(allow_nan=True, allow_infinity=True),
    error=st.floats(allow_nan=True, allow_infinity=True),
    items=st.integers(0, 5000),
)
def test_nothing_measured_below_the_threshold_ever_passes(difference: float, error: float, items: int) -> None:
    judgement = gates.judge(
        an_evaluation(minDifference="0.1"), [a_score(difference=difference, error=abs(error), items=items)]
    )[0]
    assert judgement.verdict is not Verdict.PASS or (difference >= 0.1 and items >= MIN_ITEMS)


def test_a_true_difference_at_the_threshold_passes_in_at_most_the_declared_share_of_gates() -> None:
    """F2 of the requirements: 4,000 simulated gates at the threshold, 5 % may pass, plus Monte Carlo error."""
    rng, items, rounds = random.Random(0), 200, 4000  # noqa: S311 -- a simulation
    evaluation = an_evaluation(minDifference="0")
    passes = 0
    for _ in range(rounds):
        differences = [rng.choice((-1, 0, 0, 0, 1)) for _ in range(items)]
        error = statistics.stdev(differences) / math.sqrt(items)
        score = a_score(difference=statistics.fmean(differences), error=error, items=items)
        passes += verdict_of(evaluation, score) is Verdict.PASS
    assert passes / rounds <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / rounds)
