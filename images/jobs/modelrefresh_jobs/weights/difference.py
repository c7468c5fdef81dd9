"""A residual as plain numbers: `instruct - base` in the pair's own format, and what that rounding loses.

The sum of base and difference, rounded to the instruct model's format, is the instruct weight nearly everywhere; where
it is not, the weight itself is kept as an exception. So other tools can read and add the differences, and the pair's
own base still gives the instruct model back bit for bit. All arrays are one slice, `[weights]`. Knows no files.
"""

import numpy as np
import numpy.typing as npt

from modelrefresh_jobs.tensors import dtypes
from modelrefresh_jobs.tensors.dtypes import Bits, Format, Scratch, Values
from modelrefresh_jobs.weights.residual_math import Forms

Places = npt.NDArray[np.uint64]
"""Positions of weights, ascending."""


def encode(start: Bits, other: Bits, forms: Forms, scratch: Scratch) -> tuple[Bits, Places, Bits]:
    """The difference in `forms.stored`, and the exceptions: positions in the slice, and weights in `forms.other`."""
    before = dtypes.widen(start, forms.start, scratch, "encoded start")
    apart = dtypes.widen(other, forms.other, scratch, "encoded difference")
    apart -= before
    _fit(apart, forms.stored)
    # Zero and minus zero: a sum is minus zero only where both parts are.
    apart[(apart == 0) & (before == 0) & np.signbit(before)] = -0.0
    difference = dtypes.narrow(apart, forms.stored, scratch).copy()
    places = np.flatnonzero(decode(start, difference, forms, scratch) != other)
    return difference, places.astype(np.uint64), other[places]


def decode(start: Bits, difference: Bits, forms: Forms, scratch: Scratch) -> Bits:
    """The other model's slice in `forms.other`, but for the exceptions."""
    total = dtypes.widen(start, forms.start, scratch, "decoded start")
    total += dtypes.widen(difference, forms.stored, scratch, "decoded difference")
    # A copy, since the buffers of `narrow` are used again before the slice is done with.
    other = scratch.array("other", forms.other.bits, start.size)
    np.copyto(other, dtypes.narrow(total, forms.other, scratch))
    return other


def _fit(values: Values, form: Format) -> None:
    # Of two weights at the ends of a format the difference would be infinite: its largest number, and an exception.
    np.clip(values, -form.largest, form.largest, out=values)
