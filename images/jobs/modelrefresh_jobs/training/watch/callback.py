"""Callback at every training step: loss, signals, checkpoints.

Stops on a loss or gradient that is not finite, before such weights could be saved, and on too many spikes
in a row; saves when it is time or when the pod is asked to leave, and all processes agree on either.
Records the step for the next attempt. Knows nothing of models and data.
"""

import logging
import math
import pathlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import distributed
from transformers import TrainerCallback
from transformers import TrainerControl as Control
from transformers import TrainerState as State
from transformers import TrainingArguments as Arguments

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process import errors
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.training import checkpointing, progress_file
from modelrefresh_jobs.training.watch import spikes

LOG = logging.getLogger("modelrefresh.jobs")
_RECORD_SECONDS = 1.0
"""Least time between two records of the position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackSettings:
    """Settings of the callback."""

    checkpoints: pathlib.Path
    """Folder of the run's checkpoints."""
    parents: Mapping[str, str]
    """What the run is made from (`progress_file.made_from`), recorded in each checkpoint."""
    position: pathlib.Path
    """File that records how far the run came."""
    checkpoint_seconds: float
    """Time from one checkpoint to the next; each is taken at the end of a step."""
    tokens: Callable[[int], int]
    """Number of tokens, without padding, trained on by the end of a step, from the start of the run."""
    stop: Callable[[], bool]
    """Whether this process has been asked to leave."""


class CheckpointCallback(TrainerCallback):  # type: ignore[misc]
    """Watches the steps of the Trainer."""

    def __init__(self, terms: CallbackSettings, progress: Progress) -> None:
        self.terms, self._progress = terms, progress
        self.sealer = checkpointing.Sealer(terms.checkpoints, parents=terms.parents)
        """To be entered around the training."""
        self.guard = spikes.SpikeGuard()
        """Which steps are left out."""
        self.preempted = False
        """Whether training stopped early because a process was asked to leave."""
        self.seconds = 0.0
        """From the beginning of training in this attempt to the last logged step."""
        self._started = self._saved = self._recorded = time.monotonic()
        self._known = 0

    def on_train_begin(self, _arguments: Arguments, state: State, _control: Control, **_: object) -> None:
        """Start the clocks, and take in what the attempts before have logged."""
        self.guard.follow(state.log_history)
        self._started = self._saved = time.monotonic()
        self._known = self.terms.tokens(state.global_step)

    def on_step_end(self, _arguments: Arguments, state: State, control: Control, **_: object) -> None:
        """Ask the Trainer to save or stop, when any process has reason to; not at the last step."""
        if state.global_step >= state.max_steps:
            return
        due = time.monotonic() - self._saved >= self.terms.checkpoint_seconds
        leave, save = _any_process(self.terms.stop(), due)
        self.preempted = leave
        control.should_training_stop = control.should_training_stop or leave
        control.should_save = leave or save

    def on_log(
        self, _arguments: Arguments, state: State, _control: Control, *, logs: dict[str, float], **_: object
    ) -> None:
        """Check and report the step's loss, gradient norm, learning rate and tokens per second.

        Raises:
            StageError: TrainingDiverged, when loss or gradient norm is not finite, or after too many spikes in a row.
        """
        if "loss" not in logs:
            return
        self._check(state.global_step, logs)
        self._look_for_spikes(state.global_step, logs)
        self.seconds = time.monotonic() - self._started
        speed = (self.terms.tokens(state.global_step) - self._known) / max(self.seconds, 1e-9)
        self._progress.report(
            state.global_step,
            state.max_steps,
            unit="steps",
            loss=logs["loss"],
            learning_rate=logs["learning_rate"],
            tokens_per_second=speed,
        )
        due = time.monotonic() - self._recorded >= _RECORD_SECONDS or state.global_step >= state.max_steps
        if state.is_world_process_zero and due:
            self._recorded = time.monotonic()
            progress_file.write(self.terms.position, self._progress, parents=self.terms.parents)

    def on_save(self, _arguments: Arguments, state: State, _control: Control, **_: object) -> None:
        """Have what the Trainer wrote sealed, once all processes have written their parts; none goes on before."""
        _together()
        if state.is_world_process_zero:
            self.sealer.begin(at=state.global_step)
            progress_file.write(self.terms.position, self._progress, parents=self.terms.parents)
        # The first process may have waited for the seal before; the others must not wait for it in a step, which is
        # watched.
        _together()
        self._saved = time.monotonic()

    def on_train_end(self, _arguments: Arguments, state: State, _control: Control, **_: object) -> None:
        """Tell the model owner of steps that were left out."""
        if self.guard.skipped:
            self._progress.warn(
                f"{self.guard.skipped} of {state.global_step} steps were spikes and not applied; more than a few point "
                "at damaged text or at a learning rate that is too high"
            )

    def _look_for_spikes(self, step: int, logs: dict[str, float]) -> None:
        self.guard.follow([logs])
        if self.guard.in_a_row:
            LOG.info("train: step %d is a spike and was not applied (loss %.4g)", step, logs["loss"])
        if self.guard.in_a_row >= spikes.MOST_IN_A_ROW:
            raise errors.StageError(
                StageReason.TRAINING_DIVERGED,
                f"step {step}: loss or gradient norm of {self.guard.in_a_row} steps in a row lay more than "
                f"{spikes.DEVIATIONS:g} standard deviations over those before (loss {logs['loss']:.4g}); none of these "
                "steps was applied. Nothing is kept of this run; lower spec.training.learningRate or look at the data.",
                exit_code=ExitCode.DIVERGED,
            )

    @staticmethod
    def _check(step: int, logs: dict[str, float]) -> None:
        for name in ("loss", "grad_norm"):
            if not math.isfinite(logs.get(name, 0.0)):
                raise errors.StageError(
                    StageReason.TRAINING_DIVERGED,
                    f"step {step}: {name} is {logs[name]}; expected a finite number. Nothing is kept of this run; "
                    "lower spec.training.learningRate or look at the data.",
                    exit_code=ExitCode.DIVERGED,
                )


def _together() -> None:
    if distributed.is_initialized():
        distributed.barrier()


def _any_process(*flags: bool) -> list[bool]:
    if not distributed.is_initialized():
        return list(flags)
    device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    votes = torch.tensor(flags, dtype=torch.int32, device=device)
    distributed.all_reduce(votes, op=distributed.ReduceOp.MAX)
    return [bool(vote) for vote in votes.tolist()]
