"""The arithmetic: what an instruction residual is and how it is added.

Stored is the exclusive or of the two bit patterns: as large as the model, exact for every
format (a difference in the model's own format loses bits, in fp32 it doubles the size), and
whoever adds it has the base at hand anyway, since any other base is refused. Sums are float64
with one rounding at the end. Knows slices of weights, no files and no models.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from modelrefresh_jobs import floats
from modelrefresh_jobs.floats import Bits, Values, Weights


@dataclass(slots=True)
class Gauges:
    """Sums of squares and products over all weights seen so far."""

    start: float = 0.0
    drift: float = 0.0
    residual: float = 0.0
    product: float = 0.0
    """Of drift and residual."""

    def measure(self, start: Values, drift: Values, residual: Values) -> None:
        """Take one slice into account."""
        self.start += _dot(start, start)
        self.drift += _dot(drift, drift)
        self.residual += _dot(residual, residual)
        self.product += _dot(drift, residual)

    @property
    def finite(self) -> bool:
        """False as soon as one weight was infinite or not a number: squares of fp32 never overflow float64."""
        return math.isfinite(self.start + self.drift + self.residual)

    @property
    def relative_drift(self) -> float:
        """`||trained - start|| / ||start||`."""
        return _ratio(self.drift, self.start)

    @property
    def relative_residual(self) -> float:
        """`||residual|| / ||start||`."""
        return _ratio(self.residual, self.start)

    @property
    def alignment(self) -> float:
        """Cosine between drift and residual; 0 where one of them is nothing."""
        scale = math.sqrt(self.drift) * math.sqrt(self.residual)
        return self.product / scale if scale else 0.0


def total(parts: Iterable[Gauges]) -> Gauges:
    """The gauges of several parts of a model taken together."""
    whole = Gauges()
    for part in parts:
        whole.start += part.start
        whole.drift += part.drift
        whole.residual += part.residual
        whole.product += part.product
    return whole


def cut(base: Bits, instruct: Bits) -> Bits:
    """The residual as it is stored."""
    return np.bitwise_xor(base, instruct)


def restore(base: Bits, stored: Bits) -> Bits:
    """The instruct weights, bit for bit."""
    return np.bitwise_xor(base, stored)


def add(start: Weights, instruct: Weights, trained: Values, *, scale: float) -> Bits:
    """`trained + scale * (instruct - start)`, rounded once to the format of the start.

    Where training changed nothing the instruct weight is taken as it is, and where the residual
    is nothing the trained one: so both identities hold bit for bit even for signed zeros and for
    weights so far apart that float64 cannot hold their difference.
    """
    if scale == 0:
        return floats.narrow(trained, start.form)
    merged = floats.narrow(trained + scale * (instruct.values - start.values), start.form)
    if scale == 1:
        np.copyto(merged, instruct.bits, where=trained == start.values)
    alike = np.flatnonzero(instruct.bits == start.bits)
    merged[alike] = floats.narrow(trained[alike], start.form)
    return merged


def _dot(left: Values, right: Values) -> float:
    # Not BLAS: its threads cost a hundred times the work on slices of this size.
    return float(np.einsum("i,i->", left, right))


def _ratio(part: float, whole: float) -> float:
    return math.sqrt(part / whole) if whole else 0.0
