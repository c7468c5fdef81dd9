"""Numbers to verdicts: what passes, what fails, and everything that never passes."""

import dataclasses
import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrefresh.api.evaluation import Evaluation
from modelrefresh.contract.stages.evaluate import Score
from modelrefresh.plan.judging import gates
from modelrefresh.plan.judging.gates import Verdict
from tests import builders


def an_evaluation(**gate: str) -> Evaluation:
    """One suite, one gate."""
    edits = {f"spec.evaluation.gates[0].{name}": value for name, value in gate.items()}
    if gate.get("versus") == "Absolute":
        edits["spec.evaluation.gates[0].minDifference"] = builders.REMOVED
    return builders.refresh_spec(edits).evaluation


def a_score(*, gains: int | None = 60, losses: int | None = 20, items: int = 400, **other: object) -> Score:
    """A measurement of the one suite, the incumbent at one half of the items."""
    difference = round(((gains or 0) - (losses or 0)) / max(1, items), 6)
    half = round(items // 2 / max(1, items), 6)
    values = {"incumbent": half, "candidate": half + difference, "difference": difference, "error": 0.01}
    values |= {"suite": "knowledge", "metric": "exact_match", "items": items, "gains": gains, "losses": losses}
    return Score(**{**values, **other})  # type: ignore[arg-type]


def graded(difference: float, *, error: float = 0.01, items: int = 400, **other: object) -> Score:
    """A measurement without counts, as of a graded metric or an older stage."""
    counts = {"gains": None, "losses": None, "items": items}
    values = {**counts, "incumbent": 0.5, "candidate": 0.5 + difference, "difference": difference, "error": error}
    return a_score(**{**values, **other})  # type: ignore[arg-type]


def plain(right: int, items: int) -> Score:
    """The candidate alone, right so many times."""
    values = {"incumbent": None, "difference": None, "error": None, "candidate": round(right / items, 6)}
    return a_score(gains=None, losses=None, items=items, right=right, **values)


def verdict_of(evaluation: Evaluation, *scores: Score) -> Verdict:
    """The verdict of the only gate."""
    return gates.judge(evaluation, scores)[0].verdict


@pytest.mark.parametrize(
    ("score", "needed", "expected"),
    [
        (a_score(gains=60, losses=20), "0.05", Verdict.PASS),
        (a_score(gains=60, losses=20), "0.08", Verdict.INCONCLUSIVE),
        (a_score(gains=20, losses=20), "0.05", Verdict.FAIL),
        (a_score(gains=13, losses=13, items=622), "-0.08", Verdict.PASS),
        (a_score(gains=0, losses=0, items=393), "-0.05", Verdict.PASS),
        (a_score(gains=0, losses=0, items=393), "0", Verdict.INCONCLUSIVE),
        (a_score(gains=0, losses=0, items=10), "-0.02", Verdict.INCONCLUSIVE),
        (a_score(gains=0, losses=0, items=50), "-0.02", Verdict.INCONCLUSIVE),
        (a_score(gains=0, losses=0, items=50), "0.1", Verdict.FAIL),
        (a_score(gains=0, losses=50), "-0.02", Verdict.FAIL),
        (a_score(gains=1, losses=0, items=1, incumbent=0.0, candidate=1.0), "0.5", Verdict.INCONCLUSIVE),
        (graded(0.2), "0.05", Verdict.PASS),
        (graded(0.0, error=0.0, items=50), "-0.02", Verdict.INCONCLUSIVE),
        (graded(0.2, items=1), "0.05", Verdict.INCONCLUSIVE),
    ],
)
def test_a_difference_passes_when_its_lower_bound_clears_the_threshold(
    score: Score, needed: str, expected: Verdict
) -> None:
    assert verdict_of(an_evaluation(minDifference=needed), score) is expected


@pytest.mark.parametrize(
    ("score", "needed", "expected"),
    [
        (plain(380, 400), "0.9", Verdict.PASS),
        (plain(200, 400), "0.9", Verdict.FAIL),
        (plain(364, 400), "0.9", Verdict.INCONCLUSIVE),
        (plain(10, 10), "0.9", Verdict.INCONCLUSIVE),
        (plain(29, 29), "0.9", Verdict.PASS),
        (a_score(gains=29, losses=0, items=29, incumbent=0.0, candidate=1.0), "0.9", Verdict.PASS),
        (graded(0.45), "0.9", Verdict.PASS),
        (graded(0.5, items=29), "0.9", Verdict.INCONCLUSIVE),
    ],
)
def test_a_plain_score_passes_when_its_lower_bound_clears_the_threshold(
    score: Score, needed: str, expected: Verdict
) -> None:
    assert verdict_of(an_evaluation(versus="Absolute", minScore=needed), score) is expected


@pytest.mark.parametrize(
    "scores",
    [
        (),
        (a_score(suite="other"),),
        (a_score(metric="contains"),),
        (a_score(), a_score()),
        (a_score(incumbent=None, difference=None, error=None, gains=None, losses=None),),
        (a_score(items=400, gains=None, losses=None, error=None),),
        (graded(math.nan),),
        (graded(0.1, error=math.inf),),
        (graded(0.1, error=-0.01),),
    ],
    ids=["none", "suite", "metric", "twice", "no-incumbent", "no-error", "nan", "inf", "negative-error"],
)
def test_a_missing_or_damaged_measurement_is_an_error(scores: tuple[Score, ...]) -> None:
    assert verdict_of(an_evaluation(), *scores) is Verdict.ERROR


@pytest.mark.parametrize(
    "damage",
    [
        {"items": 0},
        {"items": -5},
        {"items": 79},
        {"gains": 61},
        {"losses": None},
        {"gains": -20, "losses": -60},
        {"right": 239},
        {"right": -1},
        {"candidate": 0.7},
        {"candidate": 1.1, "incumbent": 1.0},
        {"difference": 0.2, "candidate": 0.7},
        {"difference": None},
    ],
)
@pytest.mark.parametrize("gate", [{"minDifference": "-0.1"}, {"versus": "Absolute", "minScore": "0.1"}])
def test_a_measurement_that_contradicts_itself_is_an_error(gate: dict[str, str], damage: dict[str, object]) -> None:
    sound = a_score(right=240)
    assert verdict_of(an_evaluation(**gate), sound) is Verdict.PASS
    assert verdict_of(an_evaluation(**gate), dataclasses.replace(sound, **damage)) is Verdict.ERROR  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("candidate", "gains", "losses"),
    [(0.1, 50, 0), (0.95, 10, 40), (0.5005, 20, 10), (0.0, 1, 0), (1.0, 0, 1)],
    ids=["more-gained-than-right", "lost-and-right", "no-share", "gained-nothing-right", "lost-all-right"],
)
@pytest.mark.parametrize("gate", [{"minDifference": "-1"}, {"versus": "Absolute", "minScore": "0"}])
def test_counts_of_flips_that_do_not_fit_the_score_are_an_error(
    gate: dict[str, str], candidate: float, gains: int, losses: int
) -> None:
    difference = (gains - losses) / 100
    incumbent = min(1.0, max(0.0, candidate - difference))
    score = a_score(gains=gains, losses=losses, items=100, candidate=candidate, incumbent=incumbent)
    score = dataclasses.replace(score, difference=candidate - incumbent)
    assert verdict_of(an_evaluation(**gate), score) is Verdict.ERROR


def test_every_count_that_can_be_fits_its_six_digits() -> None:
    chance = random.Random(14)  # noqa: S311 -- inputs of a test
    for _ in range(300):
        items = chance.choice([1, 2, 3, 7, 163, 1000, 99_991])
        gains = chance.randint(0, items)
        losses = chance.randint(0, items - gains)
        both = chance.randint(0, items - gains - losses)
        figures = {"candidate": (both + gains) / items, "incumbent": (both + losses) / items}
        figures["difference"] = (gains - losses) / items
        rounded = {name: round(figure, 6) for name, figure in figures.items()}
        score = a_score(gains=gains, losses=losses, items=items, **rounded)
        assert verdict_of(an_evaluation(minDifference="-1"), score) is Verdict.PASS


@pytest.mark.parametrize("score", [-0.1, 1.1, math.nan])
def test_a_score_outside_its_range_is_an_error(score: float) -> None:
    wrong = dataclasses.replace(plain(5, 10), right=None, candidate=score)
    assert verdict_of(an_evaluation(versus="Absolute", minScore="0.1"), wrong) is Verdict.ERROR


@pytest.mark.parametrize(
    ("incumbent", "needed", "expected"),
    [
        (0.0, "-0.05", Verdict.ERROR),
        (0.0, "0", Verdict.ERROR),
        (0.04, "-0.05", Verdict.ERROR),
        (0.06, "-0.05", Verdict.PASS),
        (0.0, "-1", Verdict.PASS),
        (0.0, "0.05", Verdict.FAIL),
    ],
)
def test_a_guard_that_allows_to_lose_all_there_is_says_nothing(
    incumbent: float, needed: str, expected: Verdict
) -> None:
    score = a_score(gains=0, losses=0, incumbent=incumbent, candidate=incumbent)
    assert verdict_of(an_evaluation(minDifference=needed), score) is expected


def test_an_empty_guard_says_what_was_seen_and_what_to_do() -> None:
    score = a_score(gains=0, losses=0, incumbent=0.0, candidate=0.0)
    (verdict,) = gates.judge(an_evaluation(minDifference="-0.05"), [score])
    assert verdict.message.startswith("the incumbent scores 0, ")
    assert verdict.message.endswith("raise minDifference")
    assert len(verdict.message) <= 128


@given(
    difference=st.floats(allow_nan=True, allow_infinity=True),
    error=st.floats(allow_nan=True, allow_infinity=True),
    items=st.integers(0, 5000),
)
def test_nothing_measured_below_the_threshold_ever_passes(difference: float, error: float, items: int) -> None:
    score = graded(difference, error=abs(error), items=items)
    (verdict,) = gates.judge(an_evaluation(minDifference="0.1"), [score])
    assert verdict.verdict is not Verdict.PASS or difference >= 0.1


@pytest.mark.parametrize("items", [10, 50, 200])
@pytest.mark.parametrize("counted", [True, False], ids=["counts", "error alone"])
def test_a_candidate_that_loses_as_much_as_the_threshold_rarely_passes(items: int, *, counted: bool) -> None:
    """Losses 2 %, threshold -0.02: by the standard error alone 81, 37 and 12 % of such gates passed."""
    rng, rounds, evaluation = random.Random(items), 1000, an_evaluation(minDifference="-0.02")  # noqa: S311
    passes = 0
    for _ in range(rounds):
        differences = [-float(rng.random() < 0.02) for _ in range(items)]
        losses, mean = round(-sum(differences)), round(statistics.fmean(differences), 6)
        error = round(statistics.stdev(differences) / math.sqrt(items), 6)
        counts = {"gains": 0, "losses": losses} if counted else {}
        passes += verdict_of(evaluation, graded(mean, error=error, items=items, **counts)) is Verdict.PASS
    assert passes / rounds <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / rounds)
