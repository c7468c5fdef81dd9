"""What a refresh is warned of, though nothing forbids it."""

import pytest

from modelrefresh.contract.stages.prepare import PrepareInput
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method
from modelrefresh_jobs import advice
from modelrefresh_jobs.models import families


def given(
    *,
    parameters: int = 8_000_000_000,
    replay: str | None = "pvc://corpus/general",
    family: str = "llama",
    method: Method = Method.LORA,
) -> list[str]:
    wanted = PrepareInput(
        base="pvc://models/base",
        data="pvc://corpus/new",
        replay=replay,
        sequence_length=32,
        max_tokens=1000,
        train=TrainInput(start="pvc://models/base", method=method, learning_rate=1e-4),
    )
    return list(advice.given(wanted, parameters=parameters, family=families.of({"model_type": family})))


@pytest.mark.parametrize(("parameters", "warned"), [(1_700_000, True), (1_500_000_000, True), (1_500_000_001, False)])
def test_a_model_of_at_most_one_and_a_half_billion_weights_is_warned_of(*, parameters: int, warned: bool) -> None:
    assert [text for text in given(parameters=parameters) if "pvc://models/base has" in text] * warned == given(
        parameters=parameters
    )


def test_a_refresh_without_replay_is_warned_of() -> None:
    (text,) = given(parameters=8_000_000_000, replay=None)
    assert "no data.replay" in text


@pytest.mark.parametrize(
    ("family", "method", "warned"),
    [("mixtral", Method.LORA, True), ("mixtral", Method.FULL, False), ("llama", Method.LORA, False)],
)
def test_experts_that_lora_does_not_train_are_warned_of(*, family: str, method: Method, warned: bool) -> None:
    assert any("method: Full trains the experts too" in text for text in given(family=family, method=method)) == warned
