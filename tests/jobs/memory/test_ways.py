"""Which way to train is chosen for given cards, and what people are told of it."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrefresh_jobs.memory import needs, ways, words
from modelrefresh_jobs.memory.needs import Setting
from modelrefresh_jobs.memory.shapes import ModelShape

GB = 1_000_000_000
EIGHT_BILLION = ModelShape(
    parameters=8_030_261_248,
    trained=8_030_261_248,
    linear=7_504_658_432,
    largest=525_336_576,
    largest_trained=525_336_576,
    layers=32,
    hidden=4096,
    intermediate=14_336,
    vocabulary=128_256,
    heads=32,
    attention=4096,
    normed=8192,
    adapters=0,
)
ADAPTED = dataclasses.replace(EIGHT_BILLION, trained=167_772_160, largest_trained=917_504, adapters=448)
SHAPES = st.sampled_from([EIGHT_BILLION, ADAPTED])
SETTINGS = st.builds(
    Setting,
    zero_stage=st.integers(0, 3),
    cards=st.integers(1, 128),
    batch_size=st.integers(1, 64),
    sequence_length=st.sampled_from([512, 2048, 8192]),
    recompute=st.booleans(),
)


def choose(cards: int, *, shape: ModelShape = EIGHT_BILLION, card: int = 80 * GB, sequences: int = 8) -> ways.Fit:
    return ways.choose(shape, cards=cards, card=card, sequences=sequences, length=2048)


@given(shape=SHAPES, setting=SETTINGS, more=st.integers(1, 64))
def test_more_cards_never_need_more_bytes_of_a_card(shape: ModelShape, setting: Setting, more: int) -> None:
    if setting.zero_stage:
        wider = dataclasses.replace(setting, cards=setting.cards + more)
        assert needs.of(shape, wider).peak <= needs.of(shape, setting).peak


@given(shape=SHAPES, setting=SETTINGS, more=st.integers(1, 64))
def test_a_larger_batch_never_needs_less(shape: ModelShape, setting: Setting, more: int) -> None:
    larger = dataclasses.replace(setting, batch_size=setting.batch_size + more)
    assert needs.of(shape, larger).peak >= needs.of(shape, setting).peak


@given(shape=SHAPES, setting=SETTINGS)
def test_the_peak_is_at_least_what_stays_and_at_most_all_parts(shape: ModelShape, setting: Setting) -> None:
    found = needs.of(shape, setting)
    assert found.states + found.buffers + found.activations <= found.peak
    assert found.peak <= found.states + found.buffers + found.activations + found.logits + found.layer + found.step


@given(shape=SHAPES, cards=st.integers(1, 64), gigabytes=st.integers(16, 160), sequences=st.integers(1, 64))
def test_what_is_chosen_keeps_the_sequences_of_a_step_and_fits_or_nothing_does(
    shape: ModelShape, cards: int, gigabytes: int, sequences: int
) -> None:
    fit = choose(cards, shape=shape, card=gigabytes * GB, sequences=sequences)
    assert fit.setting.batch_size * fit.accumulation == sequences
    assert fit.setting.batch_size & (fit.setting.batch_size - 1) == 0
    assert fit.fits == (fit.need.peak <= 0.9 * gigabytes * GB)


def test_means_are_taken_one_after_the_other_as_cards_get_fewer() -> None:
    seen = {cards: choose(cards).setting for cards in (64, 8, 4, 3, 1)}
    found = {cards: (one.zero_stage, one.recompute, one.offload) for cards, one in seen.items()}
    assert found == {
        64: (1, False, False),
        8: (1, False, False),
        4: (1, True, False),
        3: (2, True, False),
        1: (2, False, True),
    }


def test_one_card_less_than_the_fewest_fits_only_with_offload() -> None:
    fewest = ways.fewest(EIGHT_BILLION, card=80 * GB, sequences=8, length=2048)
    assert fewest == 3
    assert choose(fewest).fits
    assert choose(fewest - 1).setting.offload


def test_what_was_asked_for_is_kept_and_only_recomputation_and_offload_are_added() -> None:
    asked = Setting(zero_stage=2, cards=8, batch_size=8, sequence_length=2048)
    settled = ways.settle(EIGHT_BILLION, asked, card=80 * GB).setting
    assert settled == dataclasses.replace(asked, recompute=True)
    alone = dataclasses.replace(asked, cards=1, batch_size=1)
    assert ways.settle(EIGHT_BILLION, alone, card=80 * GB).setting == dataclasses.replace(alone, offload=True)


def test_the_optimizer_stays_on_the_card_where_the_host_has_no_room_for_it() -> None:
    asked = Setting(zero_stage=2, cards=1, batch_size=1, sequence_length=2048)
    takes = 16 * EIGHT_BILLION.trained
    assert ways.settle(EIGHT_BILLION, asked, card=80 * GB, host=takes).setting.offload
    assert not ways.settle(EIGHT_BILLION, asked, card=80 * GB, host=takes - 1).setting.offload


def test_activations_that_are_not_counted_rightly_are_always_recomputed() -> None:
    odd = dataclasses.replace(EIGHT_BILLION, is_plain=False)
    asked = Setting(zero_stage=2, cards=64, batch_size=1, sequence_length=2048)
    assert ways.settle(odd, asked, card=80 * GB).setting.recompute
    assert choose(64, shape=odd).setting.recompute


@pytest.mark.parametrize(
    ("cards", "length", "told"),
    [
        (8, 2048, "it fits with zeroStage 1, batchSize 1, gradientAccumulation 8"),
        (1, 131_072, "logits being the largest part: lower sequenceLength"),
    ],
)
def test_advice_names_a_way_that_fits_or_the_part_that_nothing_makes_smaller(
    cards: int, length: int, told: str
) -> None:
    better = ways.choose(EIGHT_BILLION, cards=cards, card=80 * GB, sequences=8, length=length)
    fewest = ways.fewest(EIGHT_BILLION, card=80 * GB, sequences=8, length=length)
    assert told in words.advice(better, fewest)


def test_advice_names_the_fewest_cards_where_these_are_too_few() -> None:
    better, fewest = choose(1, card=12 * GB), ways.fewest(EIGHT_BILLION, card=24 * GB, sequences=8, length=2048)
    assert f"at least {fewest} such GPUs" in words.advice(better, fewest)
