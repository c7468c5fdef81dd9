"""Weights as bits and as float64, and back with one rounding.

The formats are bf16, fp16 and fp32; NumPy has no bf16, so it is handled as its bits. Knows
nothing of tensors' names, files or models. Never imports torch: a merge needs 60 MB, not 600.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.unsignedinteger[Any]]
"""uint16 or uint32 patterns of weights."""
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One floating point format of checkpoints."""

    name: str
    """As safetensors spells it."""
    torch_name: str
    """As config.json spells it."""
    bits: type[np.unsignedinteger[Any]]
    bits_name: str
    """As safetensors spells the unsigned integers of the same width."""
    exponent: int
    """Mask of the exponent; all ones mean infinite or not a number."""

    @property
    def size(self) -> int:
        """Bytes per weight."""
        return np.dtype(self.bits).itemsize


BF16 = Format(name="BF16", torch_name="bfloat16", bits=np.uint16, bits_name="U16", exponent=0x7F80)
F16 = Format(name="F16", torch_name="float16", bits=np.uint16, bits_name="U16", exponent=0x7C00)
F32 = Format(name="F32", torch_name="float32", bits=np.uint32, bits_name="U32", exponent=0x7F800000)
FORMATS = {form.name: form for form in (BF16, F16, F32)}
BITS: dict[str, type[np.unsignedinteger[Any]]] = {
    "U16": np.uint16,
    "U32": np.uint32,
    **{form.name: form.bits for form in FORMATS.values()},
}
"""The bit patterns of everything this project stores, by safetensors' name of the type."""
_LOWER, _MIDDLE = 0xFFFF, 0x8000
"""The bits that bf16 drops from fp32, and their value just between two bf16 numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Some stored weights, as bits and as values."""

    bits: Bits
    values: Values
    form: Format


def weights(bits: Bits, form: Format) -> Weights:
    """Look at bits as weights of this format."""
    return Weights(bits=bits, values=widen(bits, form), form=form)


def widen(bits: Bits, form: Format) -> Values:
    """The exact values of these weights."""
    if form is BF16:
        return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return bits.view(np.float16 if form is F16 else np.float32).astype(np.float64)


def narrow(values: Values, form: Format) -> Bits:
    """Round to nearest, ties to even, once; overflow gives infinity, which `is_finite` finds."""
    with np.errstate(over="ignore", under="ignore"):
        if form is F16:
            return values.astype(np.float16).view(np.uint16)
        single = values.astype(np.float32)
    return single.view(np.uint32) if form is F32 else _to_bf16(values, single)


def is_finite(bits: Bits, form: Format) -> bool:
    """Whether no weight is infinite or not a number."""
    mask = form.bits(form.exponent)
    return not bool(((bits & mask) == mask).any())


def _to_bf16(values: Values, single: npt.NDArray[np.float32]) -> Bits:
    # float64 to float32 to bf16 would round twice: a value just beside the middle between two bf16
    # floats can land exactly on it. Only those (one in 65536) are moved back to their side.
    pattern = single.view(np.uint32)
    suspects = np.flatnonzero(((pattern & _LOWER) == _MIDDLE) & (single != values))
    if suspects.size:
        exact, rounded = np.abs(values[suspects]), np.abs(single[suspects]).astype(np.float64)
        pattern[suspects[exact > rounded]] += 1
        pattern[suspects[exact < rounded]] -= 1
    pattern += 0x7FFF + ((pattern >> 16) & 1)
    return (pattern >> 16).astype(np.uint16)
