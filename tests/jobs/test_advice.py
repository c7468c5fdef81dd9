"""What a refresh is warned of, though nothing forbids it."""

import pytest

from modelrefresh.contract.stages.prepare import PrepareInput
from modelrefresh_jobs import advice


def given(*, parameters: int, replay: str | None = "pvc://corpus/general") -> list[str]:
    wanted = PrepareInput(
        base="pvc://models/base", data="pvc://corpus/new", replay=replay, sequence_length=32, max_tokens=1000
    )
    return list(advice.given(wanted, parameters=parameters))


@pytest.mark.parametrize(("parameters", "warned"), [(1_700_000, True), (1_500_000_000, True), (1_500_000_001, False)])
def test_a_model_of_at_most_one_and_a_half_billion_weights_is_warned_of(*, parameters: int, warned: bool) -> None:
    assert [text for text in given(parameters=parameters) if "pvc://models/base has" in text] * warned == given(
        parameters=parameters
    )


def test_a_refresh_without_replay_is_warned_of() -> None:
    (text,) = given(parameters=8_000_000_000, replay=None)
    assert "no data.replay" in text
