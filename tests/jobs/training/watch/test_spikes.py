"""Steps that are left out: which they are, that nothing moves in them, and when a run of them ends the training."""

import pathlib
from collections.abc import Iterator

import numpy as np
import pytest

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.training.watch import spikes
from tests.jobs.runs import Run, same

STEPS = 90
AT = 80
"""Step whose block is noise; by then there is history enough."""


def noisy_run(root: pathlib.Path, **changes: object) -> Run:
    """A run over blocks that are all alike, but for the one that step `AT` meets."""
    run = Run(root, batch_size=1, epochs=1.0, **changes)
    per_step = run.request.section.gradient_accumulation
    blocks = STEPS * per_step
    order = np.random.default_rng((0, 0)).permutation(blocks)
    documents = [(5, 6, 7, 8) * 8] * blocks
    documents[int(order[AT * per_step - 1])] = tuple(range(100, 132))
    run.pack(*documents)
    return run


def healthy(steps: int) -> Iterator[tuple[float, float]]:
    draw = np.random.default_rng(0)
    for _ in range(steps):
        yield float(draw.normal(2.0, 0.1)), float(draw.normal(1.0, 0.1))


def guard_after(steps: int) -> spikes.SpikeGuard:
    guard = spikes.SpikeGuard()
    for loss, norm in healthy(steps):
        guard.remember(loss, norm)
    return guard


@pytest.mark.parametrize("accumulation", [1, 3])
def test_a_spike_leaves_the_weights_as_they_are_and_is_told(tmp_path: pathlib.Path, accumulation: int) -> None:
    run = noisy_run(tmp_path, checkpoint_seconds=0, gradient_accumulation=accumulation)
    run.train_until(AT)
    assert same(run.checkpoint(AT - 1), run.checkpoint(AT))
    summary = run.train()
    assert (summary.skipped_steps, summary.steps) == (1, STEPS)
    assert [text for text in run.progress.warnings if text.startswith("1 of 90 steps were spikes")]


def test_a_run_goes_on_with_the_history_of_the_attempt_before(tmp_path: pathlib.Path) -> None:
    whole, broken = noisy_run(tmp_path / "whole"), noisy_run(tmp_path / "broken")
    expected = whole.train()
    broken.train_until(AT - 1)
    ended = broken.train()
    assert (ended.resumed_step, ended.skipped_steps) == (AT - 1, expected.skipped_steps)
    assert same(whole.weights(), broken.weights())


def test_too_many_spikes_in_a_row_end_the_run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spikes, "MOST_IN_A_ROW", 1)
    run = noisy_run(tmp_path)
    with pytest.raises(StageError, match=rf"step {AT}: .* 1 steps in a row lay more than 6 standard") as caught:
        run.train()
    assert (caught.value.reason, caught.value.exit_code) == ("TrainingDiverged", ExitCode.DIVERGED)


def test_an_ordinary_run_leaves_nothing_out(tmp_path: pathlib.Path) -> None:
    run = Run(tmp_path, batch_size=1, epochs=1.5)
    assert (run.train().skipped_steps, run.progress.warnings) == (0, [])


@pytest.mark.parametrize(("loss", "norm", "spike"), [(2.5, 1.3, False), (3.0, 1.0, True), (2.0, 2.0, True)])
def test_a_loss_or_a_norm_far_over_those_before_is_a_spike(loss: float, norm: float, *, spike: bool) -> None:
    assert guard_after(200).is_spike(loss, norm) is spike


def test_nothing_is_a_spike_before_half_a_window_is_known() -> None:
    assert not guard_after(spikes.LEAST - 1).is_spike(1e9, 1e9)
    assert guard_after(spikes.LEAST).is_spike(1e9, 1e9)


def test_noise_over_losses_that_are_all_but_equal_is_no_spike() -> None:
    guard = spikes.SpikeGuard()
    for _ in range(100):
        guard.remember(2.0, 1.0)
    assert not guard.is_spike(2.01, 1.005)


def test_a_spike_does_not_hide_the_next() -> None:
    guard = guard_after(200)
    for _ in range(spikes.MOST_IN_A_ROW):
        guard.remember(1e6, 1.0)
    assert (guard.in_a_row, guard.skipped) == (spikes.MOST_IN_A_ROW, spikes.MOST_IN_A_ROW)


def test_a_level_that_stays_higher_is_followed_before_the_run_is_given_up() -> None:
    guard = guard_after(200)
    longest = 0
    for loss, norm in healthy(200):
        guard.remember(loss + 1.0, norm)
        longest = max(longest, guard.in_a_row)
    assert 0 < longest < spikes.MOST_IN_A_ROW
    assert guard.in_a_row == 0


def test_what_follows_from_a_log_is_what_followed_from_the_steps() -> None:
    log = [{"loss": loss, "grad_norm": norm} for loss, norm in healthy(150)] + [{"loss": 9.0, "grad_norm": 1.0}]
    followed, lived = spikes.SpikeGuard(), spikes.SpikeGuard()
    followed.follow([*log, {"train_runtime": 3.0}])
    for entry in log:
        lived.remember(entry["loss"], entry["grad_norm"])
    assert (followed.skipped, followed.is_spike(2.6, 1.0)) == (1, lived.is_spike(2.6, 1.0))
