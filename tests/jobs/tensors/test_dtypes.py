"""Rounding and the residual's arithmetic, against exact fractions and torch, for any bits."""

import fractions
import math
from collections.abc import Sequence

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies
from hypothesis.extra import numpy as arrays

from modelrefresh_jobs.tensors import dtypes
from modelrefresh_jobs.tensors.dtypes import Bits, Format, Scratch
from modelrefresh_jobs.weights import residual_math
from modelrefresh_jobs.weights.residual_math import Forms

FORMATS = [pytest.param(form, id=form.name) for form in dtypes.FORMATS.values()]
PAIRS = [
    pytest.param(Forms(start=one, other=other), id=f"{one.name}-{other.name}")
    for one in dtypes.FORMATS.values()
    for other in dtypes.FORMATS.values()
]
UNTIMED = hypothesis.settings(deadline=None)
TORCH = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


def finite_bits(form: Format) -> strategies.SearchStrategy[Bits]:
    return arrays.arrays(np.dtype(form.bits), 16).filter(lambda bits: dtypes.is_finite(bits, form))


def as_torch(bits: Bits, form: Format) -> torch.Tensor:
    signed = bits.view(np.int16 if form.size == 2 else np.int32)
    return torch.from_numpy(signed.copy()).view(TORCH[form.name])


@pytest.mark.parametrize("form", FORMATS)
@UNTIMED
@hypothesis.given(data=strategies.data())
def test_widening_is_exact_and_narrowing_undoes_it(form: Format, data: strategies.DataObject) -> None:
    bits = data.draw(finite_bits(form))
    values = dtypes.widen(bits, form)
    assert np.array_equal(values, as_torch(bits, form).double().numpy())
    assert np.array_equal(dtypes.narrow(values, form), bits)


@UNTIMED
@hypothesis.given(values=arrays.arrays(np.float64, 16, elements=strategies.floats(-1e30, 1e30)))
def test_bf16_is_the_nearest_number_and_even_on_ties(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    found = dtypes.narrow(values, dtypes.BF16)
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
    found = dtypes.widen(dtypes.narrow(values, dtypes.BF16), dtypes.BF16)
    assert found.tolist() == [1.0, 1 + 2.0**-7, 1.0, -1 - 2.0**-7]


@pytest.mark.parametrize("forms", PAIRS)
@UNTIMED
@hypothesis.given(data=strategies.data())
def test_both_models_of_a_pair_come_back_bit_for_bit_from_the_other(forms: Forms, data: strategies.DataObject) -> None:
    base, instruct = data.draw(finite_bits(forms.start)), data.draw(finite_bits(forms.other))
    turned = Forms(start=forms.other, other=forms.start)
    stored = residual_math.xor(base, instruct, forms, Scratch())
    assert stored.dtype == forms.stored.bits
    assert np.array_equal(residual_math.restore_xor(base, stored, forms, Scratch()), instruct)
    assert np.array_equal(residual_math.restore_xor(instruct, stored, turned, Scratch()), base)


@pytest.mark.parametrize("forms", PAIRS)
@UNTIMED
@hypothesis.given(data=strategies.data())
def test_the_identities_hold_for_any_finite_bits(forms: Forms, data: strategies.DataObject) -> None:
    base, trained = (data.draw(finite_bits(forms.start)) for _ in range(2))
    instruct = data.draw(finite_bits(forms.other))
    assert np.array_equal(added((base, instruct, base), forms), instruct)
    rounded_once = dtypes.narrow(dtypes.widen(trained, forms.start), forms.other)
    assert np.array_equal(added((base, instruct, trained), forms, 0.0), rounded_once)

    same = Forms(start=forms.start, other=forms.start)
    assert np.array_equal(added((base, base, trained), same), trained)
    assert np.array_equal(added((base, base, trained), same, -0.5), trained)


@pytest.mark.parametrize("learned", FORMATS)
@pytest.mark.parametrize("forms", PAIRS)
@hypothesis.settings(UNTIMED, max_examples=25)
@hypothesis.given(scale=strategies.sampled_from([1.0, 0.5, -0.375, -1.0, 2.0]), data=strategies.data())
def test_every_sum_is_the_exact_one_rounded_once(
    forms: Forms, learned: Format, scale: float, data: strategies.DataObject
) -> None:
    kinds = forms.start, forms.other, learned
    models = [data.draw(near_bits(form)) for form in kinds]
    sums = zip(*(exact(bits, form) for bits, form in zip(models, kinds, strict=True)), strict=True)
    seen = exact(added(models, forms, scale, learned=learned), forms.other)
    wanted = [rounded(moved + fractions.Fraction(scale) * (chat - start), forms.other) for start, chat, moved in sums]
    assert seen == wanted


@pytest.mark.parametrize("forms", PAIRS)
def test_memory_of_earlier_slices_changes_nothing(forms: Forms) -> None:
    scratch, generator = dtypes.Scratch(), np.random.default_rng(0)
    kinds = forms.start, forms.other, forms.start
    for count in (7, 7, 3):
        models = [dtypes.narrow(generator.normal(size=count), form) for form in kinds]
        assert np.array_equal(added(models, forms, scratch=scratch), added(models, forms))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("place", range(3))
def test_what_is_not_finite_is_found_with_either_sign_at_any_place(form: Format, place: int) -> None:
    largest = np.array([form.exponent - 1] * 3, dtype=form.bits)
    sign = 1 << (8 * form.size - 1)
    assert dtypes.is_finite(largest, form)
    assert dtypes.is_finite(largest | form.bits(sign), form)
    for pattern in (form.exponent, form.exponent + 1, sign + form.exponent, 2 * sign - 1):
        changed = largest.copy()
        changed[place] = pattern
        assert not dtypes.is_finite(changed, form)


@pytest.mark.parametrize("form", FORMATS)
def test_infinite_and_not_a_number_are_found(form: Format) -> None:
    values = np.array([1.0, np.inf, np.nan])
    assert dtypes.is_finite(dtypes.narrow(values[:1], form), form)
    assert not dtypes.is_finite(dtypes.narrow(values[1:2], form), form)
    assert not dtypes.is_finite(dtypes.narrow(values[2:], form), form)


def added(
    models: Sequence[Bits],
    forms: Forms,
    scale: float = 1.0,
    scratch: Scratch | None = None,
    learned: Format | None = None,
) -> Bits:
    base, instruct, trained = models
    scratch, values = scratch or Scratch(), dtypes.widen(trained, learned or forms.start)
    piece = residual_math.compare(base, instruct, lambda _: values, forms, scratch)
    return residual_math.add(piece, scale=scale, scratch=scratch)


def near_bits(form: Format) -> strategies.SearchStrategy[Bits]:
    """Weights of the sizes that checkpoints have: float64 holds their sums exactly."""
    signs = strategies.sampled_from([-1.0, 1.0])
    sizes = strategies.floats(2.0**-9, 1.0) | strategies.sampled_from([0.0, 2.0**-9, 1.0])
    values = strategies.builds(math.copysign, sizes, signs)
    return arrays.arrays(np.float64, 16, elements=values).map(lambda drawn: dtypes.narrow(drawn, form))


def exact(bits: Bits, form: Format) -> list[fractions.Fraction]:
    return [fractions.Fraction(value) for value in dtypes.widen(bits, form).tolist()]


def rounded(value: fractions.Fraction, form: Format) -> fractions.Fraction:
    """To nearest, ties to even, with nothing but whole numbers."""
    digits, least = {"BF16": (8, -126), "F16": (11, -14), "F32": (24, -126)}[form.name]
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    exponent -= abs(value) < fractions.Fraction(2) ** exponent
    unit = fractions.Fraction(2) ** (max(exponent, least) - digits + 1)
    return round(value / unit) * unit


def _bf16(bits: int) -> fractions.Fraction:
    return fractions.Fraction(float(dtypes.widen(np.array([bits], dtype=np.uint16), dtypes.BF16)[0]))
