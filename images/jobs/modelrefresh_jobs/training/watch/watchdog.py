"""A watch over steps that do not end: a collective whose peer is gone, a device or a file system that hangs.

A thread counts the seconds since the last step ended; too many end the process with an exit code that has the
stage tried again, from its last checkpoint. Its clock stands still while checkpoints are written, and while the
process itself is stopped. Knows nothing of why a step hangs.
"""

import collections
import statistics
import threading
import time
from collections.abc import Callable
from typing import Self

from transformers import TrainerCallback
from transformers import TrainerControl as Control
from transformers import TrainerState as State
from transformers import TrainingArguments as Arguments

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process.errors import StageError

TIMES = 10
"""Median steps that one step may take."""
FIRST = 5
"""Steps before the median counts: the first ones load kernels, connect processes and warm up."""
FIRST_TIMES = 6
"""Until then a step may take so many times the floor."""
_TICK_SECONDS = 1.0
_LONGEST_TICK = 5.0
"""What a gap between two ticks counts at most: a longer one was the process's own, stopped or starved."""
_REMEMBERED = 129


class Watchdog(TrainerCallback):  # type: ignore[misc]
    """Watches the Trainer's steps; stands after the callback that asks for checkpoints."""

    def __init__(self, *, floor: float, leave: Callable[[StageError], None]) -> None:
        """`floor` is the time in seconds below which no step counts as hanging; `leave` ends the process."""
        self._floor, self._leave = floor, leave
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._watching, self._waited, self._step = False, 0.0, 0
        self._begun = time.monotonic()
        self._durations: collections.deque[float] = collections.deque(maxlen=_REMEMBERED)

    @property
    def limit(self) -> float:
        """Seconds that the step at work may take."""
        if len(self._durations) < FIRST:
            return FIRST_TIMES * self._floor
        return max(self._floor, TIMES * statistics.median(self._durations))

    def tick(self, seconds: float) -> None:
        """Count the time since the last tick; leaves when the step at work hangs."""
        with self._lock:
            self._waited += min(seconds, _LONGEST_TICK) if self._watching else 0.0
            stalled = self._stalled() if self._waited > self.limit else None
        if stalled:
            self._leave(stalled)

    def on_train_begin(self, _arguments: Arguments, state: State, _control: Control, **_: object) -> None:
        """Begin to watch."""
        self._go_on(state.global_step)
        threading.Thread(target=self._run, daemon=True, name="watchdog").start()

    def on_step_end(self, _arguments: Arguments, state: State, control: Control, **_: object) -> None:
        """Begin anew; look away while a checkpoint is written."""
        with self._lock:
            self._durations.append(time.monotonic() - self._begun)
        self._go_on(state.global_step)
        self._watching = not control.should_save

    def on_save(self, _arguments: Arguments, state: State, _control: Control, **_: object) -> None:
        """Look again."""
        self._go_on(state.global_step)

    def __enter__(self) -> Self:
        """Watch from the beginning of training to the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop watching, however training ended."""
        self._watching = False
        self._over.set()

    def _go_on(self, step: int) -> None:
        with self._lock:
            self._watching, self._waited, self._step = True, 0.0, step
            self._begun = time.monotonic()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._over.wait(_TICK_SECONDS):
            now = time.monotonic()
            self.tick(now - last)
            last = now

    def _stalled(self) -> StageError:
        usual = f"{statistics.median(self._durations):.3g} s" if self._durations else "nothing known"
        return StageError(
            StageReason.TRAINING_STALLED,
            f"step {self._step + 1} has not ended after {self._waited:.0f} s, of {self.limit:.0f} s that it may take "
            f"(median step: {usual}); a collective, a device or a file system hangs. The next attempt goes on from the "
            "last checkpoint; look at the nodes, or raise spec.training.stallSeconds if steps may take so long.",
            exit_code=ExitCode.TRANSIENT,
        )
