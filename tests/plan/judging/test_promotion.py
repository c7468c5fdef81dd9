"""From verdicts to one word."""

import pytest

from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.stage_facts import EvaluateFacts
from modelrefresh.plan.judging import promotion


def facts(*verdicts: str) -> EvaluateFacts:
    """An evaluation whose gates said this."""
    gate = {"suite": "s", "metric": "m", "versus": "Incumbent", "needed": "0"}
    return EvaluateFacts.model_validate({"verdicts": [gate | {"verdict": summary} for summary in verdicts]})


def test_no_gates_is_not_passing() -> None:
    assert not promotion.passed(facts())


def test_a_candidate_passes_when_every_gate_does() -> None:
    assert promotion.passed(facts("Pass", "Pass"))


@pytest.mark.parametrize("other", ["Fail", "Inconclusive", "Error"])
def test_one_gate_that_does_not_pass_is_enough(other: str) -> None:
    assert not promotion.passed(facts("Pass", other))


@pytest.mark.parametrize(
    ("verdicts", "reason"),
    [
        ((), Reason.RESULTS_MISSING),
        (("Pass", "Fail", "Error"), Reason.RESULTS_MISSING),
        (("Pass", "Inconclusive", "Fail"), Reason.BELOW_THRESHOLD),
        (("Pass", "Inconclusive"), Reason.INCONCLUSIVE),
        (("Pass",), Reason.GATES_PASSED),
    ],
)
def test_the_worst_verdict_gives_the_reason(verdicts: tuple[str, ...], reason: Reason) -> None:
    assert promotion.reason(facts(*verdicts)) is reason
