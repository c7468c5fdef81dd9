"""Arithmetic of residuals: how an instruction residual is measured and added.

Sums are float64 with one rounding at the end, to the instruct model's format. All arrays are one slice, `[weights]`.
How a residual is stored is `difference`; up to the release before it was the exclusive or of two bit patterns in the
narrowest format that holds both, which is still read (`xor`). Knows no files and no models.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from modelrefresh_jobs.tensors import dtypes
from modelrefresh_jobs.tensors.dtypes import Bits, Format, Scratch, Values

Training = Callable[[Values], Values]
"""From the start's values of a slice to the trained ones: both `[weights]`, float64."""


@dataclass(slots=True)
class Norms:
    """Sums over all weights seen so far, from which norms and cosines follow."""

    start: float = 0.0
    """Sum of squares of the start's weights."""
    drift: float = 0.0
    """Sum of squares of trained minus start."""
    residual: float = 0.0
    """Sum of squares of other minus start: of the main residual as it is, without its factor and what is added."""
    product: float = 0.0
    """Dot product of drift and residual."""

    def measure(self, start: Values, residual: Values, drift: Values | None = None) -> None:
        """Add one slice, all `[weights]`; BLAS must be held to one thread, more cost ten times the work."""
        self.start += float(start.dot(start))
        self.residual += float(residual.dot(residual))
        if drift is not None:
            self.drift += float(drift.dot(drift))
            self.product += float(drift.dot(residual))

    def add(self, more: "Norms") -> None:
        """Add the sums over other weights."""
        self.start += more.start
        self.drift += more.drift
        self.residual += more.residual
        self.product += more.product

    @property
    def finite(self) -> bool:
        """Whether no weight was infinite or not a number: squares of fp32 never overflow float64."""
        return math.isfinite(self.start + self.drift + self.residual)

    @property
    def relative_drift(self) -> float:
        """`||trained - start|| / ||start||`; 0 where the start is zero."""
        return _ratio(self.drift, self.start)

    @property
    def relative_residual(self) -> float:
        """`||residual|| / ||start||`; 0 where the start is zero."""
        return _ratio(self.residual, self.start)

    @property
    def closeness(self) -> float:
        """`||trained - other|| / ||residual||`: 0 at the pair's other model, 1 at the start; inf if both are one."""
        if not self.residual:
            return math.inf
        return math.sqrt(max(0.0, self.drift - 2 * self.product + self.residual) / self.residual)

    @property
    def alignment(self) -> float:
        """Cosine between drift and residual, -1 to 1; 0 where one of them is zero."""
        scale = math.sqrt(self.drift) * math.sqrt(self.residual)
        return self.product / scale if scale else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """Formats of one tensor in the two models of a pair."""

    start: Format
    other: Format

    @property
    def stored(self) -> Format:
        """The narrowest format that holds the numbers of both: that of a stored residual."""
        return dtypes.common(self.start, self.other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One slice of three models and their differences; all arrays are `[weights]`, most of them in a `Scratch`."""

    forms: Forms
    start: Bits
    """The start's weights in `forms.start`."""
    other: Bits | None
    """The pair's other model (instruct, or base where the start is instruct) in `forms.other`; None if not known."""
    values: Values
    """The start."""
    trained: Values
    drift: Values
    """`trained - values`."""
    residual: Values
    """Other minus start; `add` overwrites it."""


def xor(start: Bits, other: Bits, forms: Forms, scratch: Scratch) -> Bits:
    """The exclusive or of two slices' patterns in `forms.stored`: 0 where they are one number."""
    ours = dtypes.convert(start, forms.start, forms.stored, scratch, "start bits")
    return np.bitwise_xor(ours, dtypes.convert(other, forms.other, forms.stored, scratch, "other bits"))


def restore_xor(start: Bits, stored: Bits, forms: Forms, scratch: Scratch) -> Bits:
    """The other model's slice in `forms.other`, bit for bit, from a residual of patterns."""
    ours = dtypes.convert(start, forms.start, forms.stored, scratch, "start bits")
    other = np.bitwise_xor(ours, stored, out=scratch.array("other", forms.stored.bits, start.size))
    return dtypes.convert(other, forms.stored, forms.other, scratch, "other bits")


def compare(start: Bits, other: Bits, trained: Training, forms: Forms, scratch: Scratch) -> Slice:
    """A slice of the start (in `forms.start`), of the other model (in `forms.other`) and of training, compared."""
    values = dtypes.widen(start, forms.start, scratch, "start")
    residual = dtypes.widen(other, forms.other, scratch, "residual")
    residual -= values
    moved = trained(values)
    drift = _drift(moved, values, scratch)
    return Slice(forms=forms, start=start, other=other, values=values, trained=moved, drift=drift, residual=residual)


def apply(start: Bits, residual: Values, trained: Training, forms: Forms, scratch: Scratch) -> Slice:
    """The same where only the difference of the pair's models is known: `residual` is other minus start."""
    values = dtypes.widen(start, forms.start, scratch, "start")
    moved = trained(values)
    drift = _drift(moved, values, scratch)
    return Slice(forms=forms, start=start, other=None, values=values, trained=moved, drift=drift, residual=residual)


def add(piece: Slice, *, scale: float, scratch: Scratch) -> Bits:
    """`trained + scale * (instruct - start)`, rounded once to the instruct format; overwrites `piece.residual`.

    Where training changed nothing the instruct weight is taken as it is (scale 1), and where the residual
    is zero the trained one: so both identities hold bit for bit even for signed zeros and for
    weights so far apart that float64 cannot hold their difference.
    """
    if scale == 0:
        return dtypes.narrow(piece.trained, piece.forms.other, scratch)
    sums = piece.residual
    if scale != 1:
        sums *= scale
    sums += piece.trained
    merged = dtypes.narrow(sums, piece.forms.other, scratch)
    if piece.other is None:
        return merged
    # The sums hold both identities nearly everywhere: adding a residual of zero changes no number but the sign of
    # a trained zero. The exceptions are corrected one by one.
    zeros = np.flatnonzero(merged == 0)
    if scale == 1 and (places := np.flatnonzero((piece.drift == 0) & (merged != piece.other))).size:
        merged[places] = piece.other[places]
    if (places := zeros[piece.trained[zeros] == 0]).size:
        equal = places[xor(piece.start[places], piece.other[places], piece.forms, Scratch()) == 0]
        merged[equal] = dtypes.narrow(piece.trained[equal], piece.forms.other)
    return merged


def sum_of(piece: Slice, factors: Values, *, added: Iterable[tuple[float, Values]]) -> Values:
    """`trained + factors * residual + factor_1 * added_1 + ...`, not rounded; overwrites all but trained and factors.

    `factors` is `[weights]`, one for each weight.
    """
    sums = piece.residual
    sums *= factors
    sums += piece.trained
    for factor, values in added:
        sums += np.multiply(values, factor, out=values)
    return sums


def mean(ours: Values, theirs: Values, *, share: float) -> Values:
    """`(1 - share) * ours + share * theirs`; overwrites both."""
    ours *= 1 - share
    theirs *= share
    ours += theirs
    return ours


def _drift(trained: Values, start: Values, scratch: Scratch) -> Values:
    return np.subtract(trained, start, out=scratch.array("drift", np.float64, start.size))


def _ratio(part: float, whole: float) -> float:
    return math.sqrt(part / whole) if whole else 0.0
