"""The course of the learning rate, as transformers' schedulers give it."""

import pytest
import torch
import transformers

from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import LearningRateSchedule
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.training import schedules

STABLE = LearningRateSchedule.WARMUP_STABLE_DECAY


def asked(schedule: LearningRateSchedule, **changes: float) -> TrainInput:
    return TrainInput(start="file:///x", learning_rate_schedule=schedule, **changes)  # type: ignore[arg-type]


def rates(wanted: TrainInput, *, steps: int) -> list[float]:
    """The rate before each step and after the last, as a share of the peak."""
    chosen = schedules.of(wanted, steps=steps)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = transformers.get_scheduler(
        chosen.kind,
        optimizer,
        num_warmup_steps=chosen.warmup_steps,
        num_training_steps=steps,
        scheduler_specific_kwargs=dict(chosen.settings),
    )
    seen = []
    for _ in range(steps + 1):
        seen.append(float(scheduler.get_last_lr()[0]))
        optimizer.step()
        scheduler.step()
    return seen


@pytest.mark.parametrize(("floor", "middle"), [(None, 0.5), (0.1, 0.55), (1.0, 1.0)])
def test_a_cosine_rises_again_from_zero_and_ends_at_its_floor(floor: float | None, middle: float) -> None:
    changes = {} if floor is None else {"min_learning_rate_ratio": floor}
    seen = rates(asked(LearningRateSchedule.COSINE, warmup_ratio=0.2, **changes), steps=100)
    assert seen[:21] == pytest.approx([step / 20 for step in range(21)])
    assert (seen[60], seen[100]) == pytest.approx((middle, floor or 0.0))


@pytest.mark.parametrize(("changes", "begins"), [({}, 80), ({"decay_ratio": 0.5}, 50)])
def test_warm_up_stable_decay_stays_at_the_peak_and_falls_over_the_last_share(
    changes: dict[str, float], begins: int
) -> None:
    seen = rates(asked(STABLE, warmup_ratio=0.1, **changes), steps=100)
    assert seen[10 : begins + 1] == [1.0] * (begins - 9)
    assert sorted(seen[begins:], reverse=True) == seen[begins:]
    assert seen[100] == 0.0


@pytest.mark.parametrize(("ratio", "is_said"), [(0.001, True), (0.01, True), (0.02, False)])
def test_a_decay_too_short_to_lower_any_rate_is_said(
    caplog: pytest.LogCaptureFixture, ratio: float, *, is_said: bool
) -> None:
    caplog.set_level("INFO")
    seen = rates(asked(STABLE, warmup_ratio=0.1, decay_ratio=ratio), steps=100)
    assert (seen[10:100] == [1.0] * 90) is is_said
    assert ("the learning rate stays at its peak to the end" in caplog.text) is is_said


def test_warm_up_and_decay_that_are_rounded_up_together_still_end_at_zero() -> None:
    seen = rates(asked(STABLE, warmup_ratio=0.5, decay_ratio=0.5), steps=7)
    assert (max(seen), seen[7]) == (1.0, 0.0)


@pytest.mark.parametrize("schedule", list(LearningRateSchedule))
def test_a_run_of_one_step_has_a_rate(schedule: LearningRateSchedule) -> None:
    assert rates(asked(schedule), steps=1)[0] == 1.0


@pytest.mark.parametrize(
    ("schedule", "changes", "said"),
    [
        (LearningRateSchedule.LINEAR, {"min_learning_rate_ratio": 0.1}, "minLearningRateRatio is 0.1, but .* Linear"),
        (LearningRateSchedule.COSINE, {"decay_ratio": 0.1}, "decayRatio is 0.1, but .* Cosine"),
        (STABLE, {"warmup_ratio": 0.6, "decay_ratio": 0.5}, "0.6 and decayRatio 0.5 are more than all steps"),
    ],
)
def test_a_setting_of_another_schedule_is_refused(
    schedule: LearningRateSchedule, changes: dict[str, float], said: str
) -> None:
    with pytest.raises(StageError, match=said):
        schedules.of(asked(schedule, **changes), steps=10)
