"""Conversion of weights between bit patterns (bf16, fp16, fp32) and float64, with one rounding.

NumPy's bf16 is `ml_dtypes`'. All arrays here are one-dimensional, `[weights]`. Knows nothing of tensors' names,
files or models. Never imports torch: a merge needs some 30 MB, with torch half a gigabyte.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import ml_dtypes
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
    number: type[np.generic]
    """NumPy's type of its numbers."""
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


BF16 = Format(
    name="BF16", torch_name="bfloat16", number=ml_dtypes.bfloat16, bits=np.uint16, bits_name="U16", exponent=0x7F80
)
F16 = Format(name="F16", torch_name="float16", number=np.float16, bits=np.uint16, bits_name="U16", exponent=0x7C00)
F32 = Format(name="F32", torch_name="float32", number=np.float32, bits=np.uint32, bits_name="U32", exponent=0x7F800000)
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
    values = (scratch or Scratch()).array(name, np.float64, bits.size)
    np.copyto(values, bits.view(form.number), casting="unsafe")
    return values


def narrow(values: Values, form: Format, scratch: Scratch | None = None) -> Bits:
    """Round float64 `[weights]` once, to nearest, ties to even; overflow gives infinity, which `is_finite` finds."""
    scratch = scratch or Scratch()
    rounded = scratch.array("rounded", form.number, values.size)
    with np.errstate(over="ignore", under="ignore"):
        np.copyto(rounded, _towards_bf16(values, scratch) if form is BF16 else values, casting="unsafe")
    return rounded.view(form.bits)


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
    # From the exponent's mask upwards no number is finite; a negative one has the sign's bit before it.
    signed = bits.view(f"i{form.size}")
    sign = 1 << (8 * form.size - 1)
    return not bits.size or bool(signed.max() < form.exponent and bits.max() < sign + form.exponent)


def _towards_bf16(values: Values, scratch: Scratch) -> npt.NDArray[np.float32]:
    """The values in float32, in a way that rounding them once more gives what rounding them once to bf16 gives."""
    # A value just beside the middle between two bf16 numbers can land exactly on it. Only those (one in 65536) are
    # moved back to their side.
    single = scratch.array("single", np.float32, values.size)
    np.copyto(single, values, casting="same_kind")
    pattern = single.view(np.uint32)
    lower = scratch.array("lower", np.uint16, values.size)
    np.copyto(lower, pattern, casting="unsafe")
    suspects = np.flatnonzero((lower == _MIDDLE) & (single != values))
    if suspects.size:
        exact, rounded = np.abs(values[suspects]), np.abs(single[suspects]).astype(np.float64)
        pattern[suspects[exact > rounded]] += 1
        pattern[suspects[exact < rounded]] -= 1
    return single
