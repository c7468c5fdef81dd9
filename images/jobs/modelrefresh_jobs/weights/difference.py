"""A residual as plain numbers: `instruct - base` in the pair's own format, and what that rounding loses.

The sum of base and difference, rounded to the instruct model's format, is the instruct weight nearly everywhere; where
it is not, the weight itself is kept as an exception. So other tools can read and add the differences, and the pair's
own base still gives the instruct model back bit for bit. All arrays are one slice, `[weights]`. Knows no files.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from modelrefresh_jobs.tensors import dtypes
from modelrefresh_jobs.tensors.dtypes import Bits, Format, Scratch, Values
from modelrefresh_jobs.weights.residual_math import Forms

Places = npt.NDArray[np.unsignedinteger[Any]]
"""Positions of weights, ascending."""


def encode(
    start: Bits, other: Bits, values: tuple[Values, Values], forms: Forms, scratch: Scratch
) -> tuple[Bits, Places, Bits]:
    """The difference in `forms.stored`, and the exceptions: positions in the slice, and weights in `forms.other`.

    `values` are the start's and other minus start, which is overwritten; the difference is a buffer of the scratch.
    """
    before, apart = values
    # Zero and minus zero: a sum is minus zero only where both parts are.
    zeros = np.flatnonzero(apart == 0)
    apart[zeros[(before[zeros] == 0) & np.signbit(before[zeros])]] = -0.0
    difference = dtypes.narrow(apart, forms.stored, scratch)
    if not dtypes.is_finite(difference, forms.stored):
        _fit(apart, forms.stored)
        difference = dtypes.narrow(apart, forms.stored, scratch)
    places = np.flatnonzero(decode(start, difference, forms, scratch) != other)
    return difference, places.astype(np.uint64), other[places]


def decode(start: Bits, difference: Bits, forms: Forms, scratch: Scratch) -> Bits:
    """The other model's slice in `forms.other`, but for the exceptions: a float32 sum, rounded as torch rounds it."""
    parts = _single(start, forms.start, scratch, "left"), _single(difference, forms.stored, scratch, "right")
    total = scratch.array("total", np.float32, start.size)
    rounded = scratch.array("total rounded", forms.other.number, start.size)
    with np.errstate(over="ignore", under="ignore"):
        np.add(*parts, out=total)
        np.copyto(rounded, total, casting="unsafe")
    return rounded.view(forms.other.bits)


def _single(bits: Bits, form: Format, scratch: Scratch, name: str) -> npt.NDArray[np.float32]:
    """The numbers of bit patterns as float32, which holds all of them."""
    single = scratch.array(name, np.float32, bits.size)
    np.copyto(single, bits.view(form.number), casting="unsafe")
    return single


def _fit(values: Values, form: Format) -> None:
    # Of two weights at the ends of a format the difference would be infinite: its largest number, and an exception.
    np.clip(values, -form.largest, form.largest, out=values)
