"""The arithmetic: what an instruction residual is and how it is added.

Stored is the exclusive or of the two bit patterns, in the narrowest format that holds both (their
own where they agree): exact for every format (a difference in the model's own format loses bits,
in fp32 it doubles the size), and whoever adds it has the base at hand anyway, since any other
base is refused. Sums are float64 with one rounding at the end, to the instruct model's
format. Knows slices of weights, no files and no models.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modelrefresh_jobs.tensors import dtypes
from modelrefresh_jobs.tensors.dtypes import Bits, Format, Scratch, Values

Training = Callable[[Values], Values]
"""Gives a slice's trained values, told those of the start."""


@dataclass(slots=True)
class Norms:
    """Sums of squares and products over all weights seen so far."""

    start: float = 0.0
    drift: float = 0.0
    residual: float = 0.0
    product: float = 0.0
    """Of drift and residual."""

    def measure(self, start: Values, residual: Values, drift: Values | None = None) -> None:
        """Take one slice into account; BLAS must be held to one thread, more cost ten times the work."""
        self.start += float(start.dot(start))
        self.residual += float(residual.dot(residual))
        if drift is not None:
            self.drift += float(drift.dot(drift))
            self.product += float(drift.dot(residual))

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
    def closeness(self) -> float:
        """`||trained - other|| / ||residual||`: 0 at the pair's other model, 1 at the start; infinite without both."""
        if not self.residual:
            return math.inf
        return math.sqrt(max(0.0, self.drift - 2 * self.product + self.residual) / self.residual)

    @property
    def alignment(self) -> float:
        """Cosine between drift and residual; 0 where one of them is nothing."""
        scale = math.sqrt(self.drift) * math.sqrt(self.residual)
        return self.product / scale if scale else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """Formats of one tensor in the two models of a pair."""

    start: Format
    other: Format

    @property
    def stored(self) -> Format:
        """The format whose patterns the residual holds."""
        return dtypes.common(self.start, self.other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The same weights of three models and the ways between them, in a `Scratch`."""

    forms: Forms
    stored: Bits
    """The residual; 0 where start and other are one number."""
    other: Bits
    """Of the pair's other model: instruct, or base where the start is instruct."""
    values: Values
    """Of the start."""
    trained: Values
    drift: Values
    """From start to trained."""
    residual: Values
    """From start to other."""


def total(parts: Iterable[Norms]) -> Norms:
    """The gauges of several parts of a model taken together."""
    whole = Norms()
    for part in parts:
        whole.start += part.start
        whole.drift += part.drift
        whole.residual += part.residual
        whole.product += part.product
    return whole


def cut(start: Bits, other: Bits, forms: Forms, scratch: Scratch) -> Bits:
    """The residual as it is stored; the same from either side."""
    ours = dtypes.convert(start, forms.start, forms.stored, scratch, "start bits")
    return np.bitwise_xor(ours, dtypes.convert(other, forms.other, forms.stored, scratch, "other bits"))


def restore(start: Bits, stored: Bits, forms: Forms, scratch: Scratch) -> Bits:
    """The other model's weights, bit for bit."""
    ours = dtypes.convert(start, forms.start, forms.stored, scratch, "start bits")
    other = np.bitwise_xor(ours, stored, out=scratch.array("other", forms.stored.bits, start.size))
    return dtypes.convert(other, forms.stored, forms.other, scratch, "other bits")


def compare(start: Bits, stored: Bits, trained: Training, forms: Forms, scratch: Scratch) -> Slice:
    """What a slice of the start, of the stored residual and of training amount to."""
    other = restore(start, stored, forms, scratch)
    values = dtypes.widen(start, forms.start, scratch, "start")
    moved = trained(values)
    residual = dtypes.widen(other, forms.other, scratch, "residual")
    residual -= values
    drift = np.subtract(moved, values, out=scratch.array("drift", np.float64, start.size))
    return Slice(forms=forms, stored=stored, other=other, values=values, trained=moved, drift=drift, residual=residual)


def add(piece: Slice, *, scale: float, scratch: Scratch) -> Bits:
    """`trained + scale * (instruct - start)`, rounded once to the instruct format; uses up the slice's residual.

    Where training changed nothing the instruct weight is taken as it is, and where the residual
    is nothing the trained one: so both identities hold bit for bit even for signed zeros and for
    weights so far apart that float64 cannot hold their difference.
    """
    if scale == 0:
        return dtypes.narrow(piece.trained, piece.forms.other, scratch)
    sums = piece.residual
    if scale != 1:
        sums *= scale
    sums += piece.trained
    merged = dtypes.narrow(sums, piece.forms.other, scratch)
    # The sums hold both identities nearly everywhere: adding a residual of nothing changes no number but the sign of
    # a zero. The few exceptions are put right one by one.
    doubtful = (merged == 0) & (piece.stored == 0)
    if scale == 1:
        doubtful |= (piece.drift == 0) & (merged != piece.other)
    if (places := np.flatnonzero(doubtful)).size:
        merged[places] = _identity(piece, merged, places, scale)
    return merged


def _identity(piece: Slice, merged: Bits, places: npt.NDArray[np.intp], scale: float) -> Bits:
    unmoved = piece.drift[places] == 0
    kept = np.where(unmoved, piece.other[places], merged[places]) if scale == 1 else merged[places]
    return np.where(piece.stored[places] == 0, dtypes.narrow(piece.trained[places], piece.forms.other), kept)


def _ratio(part: float, whole: float) -> float:
    return math.sqrt(part / whole) if whole else 0.0
