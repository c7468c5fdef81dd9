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
    """The other model's slice in `forms.other`, but for the exceptions: a float32 sum, rounded as torch rounds it."""
    parts = _single(start, forms.start, scratch, "left"), _single(difference, forms.stored, scratch, "right")
    total = scratch.array("total", np.float32, start.size)
    with np.errstate(over="ignore"):
        np.add(*parts, out=total)
    if forms.other is dtypes.BF16:
        return _rounded(total.view(np.uint32), scratch)
    if forms.other is dtypes.F32:
        return total.view(np.uint32)
    half = scratch.array("total half", np.float16, start.size)
    with np.errstate(over="ignore", under="ignore"):
        np.copyto(half, total, casting="same_kind")
    return half.view(np.uint16)


def _single(bits: Bits, form: Format, scratch: Scratch, name: str) -> npt.NDArray[np.float32]:
    """The numbers of bit patterns as float32, which holds all of them."""
    if form is dtypes.F32:
        return bits.view(np.float32)
    single = scratch.array(name, np.float32, bits.size)
    if form is dtypes.F16:
        np.copyto(single, bits.view(np.float16))
        return single
    pattern = single.view(np.uint32)
    np.copyto(pattern, bits)
    pattern <<= 16
    return single


def _rounded(pattern: npt.NDArray[np.uint32], scratch: Scratch) -> Bits:
    """Patterns of float32 to the nearest bf16, ties to even; overwrites them."""
    odd = scratch.array("odd", np.uint32, pattern.size)
    np.right_shift(pattern, 16, out=odd)
    odd &= 1
    odd += 0x7FFF
    pattern += odd
    pattern >>= 16
    rounded = scratch.array("total bf16", np.uint16, pattern.size)
    np.copyto(rounded, pattern, casting="unsafe")
    return rounded


def _fit(values: Values, form: Format) -> None:
    # Of two weights at the ends of a format the difference would be infinite: its largest number, and an exception.
    np.clip(values, -form.largest, form.largest, out=values)
