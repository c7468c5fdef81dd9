"""Which steps are spikes: their loss or gradient norm lies far over those of the steps before.

The rule is that of OLMo-core's skip-step optimizers, which trained OLMo 2: six standard deviations over the mean of
the last 128 steps. Unlike there a spike counts in that window as the limit that it broke, so that one does not
hide the next, and a slow change is still followed. Knows numbers, no model; all processes see the same numbers.
"""

import collections
import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

WINDOW = 128
"""Steps whose mean and deviation count."""
LEAST = WINDOW // 2
"""Steps before which nothing counts as a spike."""
DEVIATIONS = 6.0
MOST_IN_A_ROW = 16
"""Spikes after which weights, not single batches, are at fault."""
_SMALLEST_DEVIATION = 1e-3
"""Of the mean: where losses are all but equal, noise is no spike."""


class Recent:
    """The last values of one figure."""

    def __init__(self) -> None:
        self._values: collections.deque[float] = collections.deque(maxlen=WINDOW)
        self.limit = np.inf
        """What a value may be."""

    def add(self, value: float) -> None:
        """Take a value in, one over the limit as the limit."""
        self._values.append(min(value, self.limit))
        if len(self._values) >= LEAST:
            values = np.fromiter(self._values, np.float64)
            mean = float(values.mean())
            self.limit = mean + DEVIATIONS * max(float(values.std(ddof=1)), _SMALLEST_DEVIATION * abs(mean))


@dataclasses.dataclass(slots=True)
class SpikeGuard:
    """The judge of a run's steps; what it counts follows from the run's log alone."""

    skipped: int = 0
    """Spikes since the start of the run."""
    in_a_row: int = 0
    """Spikes up to the last step."""
    _loss: Recent = dataclasses.field(default_factory=Recent)
    _norm: Recent = dataclasses.field(default_factory=Recent)

    def is_spike(self, loss: float, norm: float) -> bool:
        """Whether a step with this loss and gradient norm (before clipping) is not to be applied."""
        return loss > self._loss.limit or norm > self._norm.limit

    def remember(self, loss: float, norm: float) -> None:
        """Take in a step, applied or not."""
        spike = self.is_spike(loss, norm)
        self.skipped += spike
        self.in_a_row = self.in_a_row + 1 if spike else 0
        self._loss.add(loss)
        self._norm.add(norm)

    def follow(self, log: Iterable[Mapping[str, float]]) -> None:
        """Take in the steps of a log, entries with `loss` and `grad_norm`; others are passed over."""
        for entry in log:
            if "loss" in entry:
                self.remember(entry["loss"], entry.get("grad_norm", 0.0))
