"""Rounding and the residual's arithmetic, against exact fractions and torch, for any bits."""

import fractions

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies
from hypothesis.extra import numpy as arrays

from modelrefresh_jobs import floats, residual
from modelrefresh_jobs.floats import Bits, Format

FORMATS = [pytest.param(form, id=form.name) for form in floats.FORMATS.values()]
TORCH = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


def finite_bits(form: Format) -> strategies.SearchStrategy[Bits]:
    return arrays.arrays(np.dtype(form.bits), 16).filter(lambda bits: floats.is_finite(bits, form))


def as_torch(bits: Bits, form: Format) -> torch.Tensor:
    signed = bits.view(np.int16 if form.size == 2 else np.int32)
    return torch.from_numpy(signed.copy()).view(TORCH[form.name])


@pytest.mark.parametrize("form", FORMATS)
@hypothesis.given(data=strategies.data())
def test_widening_is_exact_and_narrowing_undoes_it(form: Format, data: strategies.DataObject) -> None:
    bits = data.draw(finite_bits(form))
    values = floats.widen(bits, form)
    assert np.array_equal(values, as_torch(bits, form).double().numpy())
    assert np.array_equal(floats.narrow(values, form), bits)


@hypothesis.given(values=arrays.arrays(np.float64, 16, elements=strategies.floats(-1e30, 1e30)))
def test_bf16_is_the_nearest_number_and_even_on_ties(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    found = floats.narrow(values, floats.BF16)
    for value, bits in zip(values.tolist(), found.tolist(), strict=True):
        exact = fractions.Fraction(value)
        chosen = abs(_bf16(bits) - exact)
        for other in (bits - 1, bits + 1):
            if 0 <= other & 0x7FFF < 0x7F80 and bits & 0x7FFF:
                distance = abs(_bf16(other & 0xFFFF) - exact)
                assert chosen < distance or (chosen == distance and bits % 2 == 0)


def test_a_value_just_beside_the_middle_is_not_rounded_twice() -> None:
    middle = 1 + 2.0**-8  # between the bf16 numbers 1 and 1 + 2**-7
    values = np.array([middle, middle + 2.0**-40, middle - 2.0**-40, -middle - 2.0**-40])
    found = floats.widen(floats.narrow(values, floats.BF16), floats.BF16)
    assert found.tolist() == [1.0, 1 + 2.0**-7, 1.0, -1 - 2.0**-7]


@pytest.mark.parametrize("form", FORMATS)
@hypothesis.given(data=strategies.data())
def test_the_identities_hold_for_any_finite_bits(form: Format, data: strategies.DataObject) -> None:
    base, instruct, trained = (data.draw(finite_bits(form)) for _ in range(3))
    assert np.array_equal(residual.restore(base, residual.cut(base, instruct)), instruct)

    def add(to: Bits, towards: Bits, scale: float) -> Bits:
        pair = floats.weights(base, form), floats.weights(towards, form)
        return residual.add(*pair, floats.widen(to, form), scale=scale)

    assert np.array_equal(add(base, instruct, 1.0), instruct)
    assert np.array_equal(add(trained, base, 1.0), trained)
    assert np.array_equal(add(trained, instruct, 0.0), trained)


@pytest.mark.parametrize("form", FORMATS)
def test_infinite_and_not_a_number_are_found(form: Format) -> None:
    values = np.array([1.0, np.inf, np.nan])
    assert floats.is_finite(floats.narrow(values[:1], form), form)
    assert not floats.is_finite(floats.narrow(values[1:2], form), form)
    assert not floats.is_finite(floats.narrow(values[2:], form), form)


def _bf16(bits: int) -> fractions.Fraction:
    return fractions.Fraction(float(floats.widen(np.array([bits], dtype=np.uint16), floats.BF16)[0]))
