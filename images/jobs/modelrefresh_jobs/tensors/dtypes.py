"""Conversion of weights between bit patterns (bf16, fp16, fp32) and float64, with one rounding.

NumPy has no bf16, so it is handled as uint16 patterns. All arrays here are one-dimensional, `[weights]`.
Knows nothing of tensors' names, files or models. Never imports torch: a merge needs some 30 MB, with torch
half a gigabyte.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.unsignedinteger[Any]]
"""`[weights]`, uint16 or uint32: bit patterns of weights."""
Values = npt.NDArray[np.float64]
"""`[weights]`, float64."""
Kind = TypeVar("Kind", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One floating point format of checkpoints."""

    name: str
    """As safetensors spells it."""
    torch_name: str
    """As config.json spells it."""
    bits: type[np.unsignedinteger[Any]]
    """Unsigned integer of the same width."""
    bits_name: str
    """As safetensors spells `bits`."""
    exponent: int
    """Bit mask of the exponent; all of them set mean infinite or not a number."""

    @property
    def size(self) -> int:
        """Bytes per weight."""
        return np.dtype(self.bits).itemsize

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return float(widen(np.array([self.exponent - 1], dtype=self.bits), self)[0])


BF16 = Format(name="BF16", torch_name="bfloat16", bits=np.uint16, bits_name="U16", exponent=0x7F80)
F16 = Format(name="F16", torch_name="float16", bits=np.uint16, bits_name="U16", exponent=0x7C00)
F32 = Format(name="F32", torch_name="float32", bits=np.uint32, bits_name="U32", exponent=0x7F800000)
FORMATS = {form.name: form for form in (BF16, F16, F32)}
BITS: dict[str, type[np.unsignedinteger[Any]]] = {
    "U16": np.uint16,
    "U32": np.uint32,
    "U64": np.uint64,
    **{form.name: form.bits for form in FORMATS.values()},
}
"""Unsigned integer of each type that this project stores, by the type's name in safetensors."""
_MIDDLE = 0x8000
"""The 16 bits that bf16 drops from fp32, where the fp32 number is halfway between two bf16 numbers."""


class Scratch:
    """Buffers of one thread, used again for each slice: fresh ones cost a page fault for every 4 kB.

    A buffer is overwritten when its name and dtype are asked for again, so nothing in it outlives its slice.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[str, type], npt.NDArray[Any]] = {}

    def array(self, name: str, kind: type[Kind], count: int) -> npt.NDArray[Kind]:
        """An uninitialised array `[count]` of this dtype."""
        held = self._held.get((name, kind))
        if held is None or held.size != count:  # other tensors have slices of another size, and so is the last of each
            held = self._held[name, kind] = np.empty(count, kind)
        return held


def widen(bits: Bits, form: Format, scratch: Scratch | None = None, name: str = "values") -> Values:
    """The exact values of bit patterns `[weights]`, as float64 `[weights]` in the buffer of this name."""
    scratch = scratch or Scratch()
    values = scratch.array(name, np.float64, bits.size)
    if form is BF16:
        single = scratch.array("single", np.float32, bits.size)
        pattern = single.view(np.uint32)
        np.copyto(pattern, bits)
        pattern <<= 16
        np.copyto(values, single)
    else:
        np.copyto(values, bits.view(np.float16 if form is F16 else np.float32))
    return values


def narrow(values: Values, form: Format, scratch: Scratch | None = None) -> Bits:
    """Round float64 `[weights]` once, to nearest, ties to even; overflow gives infinity, which `is_finite` finds."""
    scratch = scratch or Scratch()
    kind: type[np.float16 | np.float32] = np.float16 if form is F16 else np.float32
    rounded = scratch.array("half" if form is F16 else "single", kind, values.size)
    with np.errstate(over="ignore", under="ignore"):
        np.copyto(rounded, values, casting="same_kind")
    return _to_bf16(values, rounded, scratch) if form is BF16 else rounded.view(form.bits)


def common(one: Format, other: Format) -> Format:
    """The narrowest format that holds all numbers of both; fp32 for bf16 (wider range) with fp16 (finer steps)."""
    return one if one is other else F32


def convert(bits: Bits, form: Format, target: Format, scratch: Scratch, name: str) -> Bits:
    """Bit patterns `[weights]` in another format, in the buffer of this name; exact where `target` holds the numbers.

    The input itself where the formats are one.
    """
    if form is target:
        return bits
    converted = scratch.array(name, target.bits, bits.size)
    np.copyto(converted, narrow(widen(bits, form, scratch, "converted"), target, scratch))
    return converted


def is_finite(bits: Bits, form: Format) -> bool:
    """Whether no weight is infinite or not a number."""
    mask = form.bits(form.exponent)
    return not bool(((bits & mask) == mask).any())


def _to_bf16(values: Values, single: npt.NDArray[np.floating[Any]], scratch: Scratch) -> Bits:
    # float64 to float32 to bf16 would round twice: a value just beside the middle between two bf16
    # floats can land exactly on it. Only those (one in 65536) are moved back to their side.
    pattern = single.view(np.uint32)
    upper = scratch.array("upper", np.uint32, values.size)
    bits = scratch.array("bf16", np.uint16, values.size)
    np.copyto(bits, pattern, casting="unsafe")  # the lower half
    suspects = np.flatnonzero((bits == _MIDDLE) & (single != values))
    if suspects.size:
        exact, rounded = np.abs(values[suspects]), np.abs(single[suspects]).astype(np.float64)
        pattern[suspects[exact > rounded]] += 1
        pattern[suspects[exact < rounded]] -= 1
    np.right_shift(pattern, 16, out=upper)
    upper &= 1
    upper += _MIDDLE - 1
    pattern += upper
    pattern >>= 16
    np.copyto(bits, pattern, casting="unsafe")
    return bits
