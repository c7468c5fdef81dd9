"""The memory of a training against what torch and DeepSpeed say of it themselves."""

import dataclasses

import pytest
import transformers
from deepspeed.runtime.zero import stage3, stage_1_and_2

from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method
from modelrefresh_jobs.memory import needs, shapes
from modelrefresh_jobs.memory.needs import Need, Setting
from modelrefresh_jobs.memory.shapes import ModelShape
from modelrefresh_jobs.models import families
from tests.jobs import builders
from tests.jobs.memory import count

FULL = TrainInput(start="file:///x", method=Method.FULL)
LORA = TrainInput(start="file:///x", method=Method.LORA, lora_rank=16)
WANTED = {Method.FULL: FULL, Method.LORA: LORA}
SETTING = Setting(zero_stage=2, cards=1, batch_size=2, sequence_length=512)
SMALL = {
    "vocab_size": 4096,
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "max_position_embeddings": 1024,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
WITHIN = {"granite": 0.05, "olmo2": 0.11, "gemma3_text": 0.14}
"""They keep more than is counted, of scaled logits or float32 normalisations; others are within 3 percent."""
BYTES_OF_DEEPSPEED = 1_000_000
"""Rounding, over any number of cards."""


def shape_of(release: str) -> ModelShape:
    return shapes.of(count.model(count.RELEASES[release], FULL))


def need(shape: ModelShape, **changes: object) -> Need:
    return needs.of(shape, dataclasses.replace(SETTING, **changes))


def passing(found: Need) -> int:
    return found.activations + max(found.logits, found.layer)


@pytest.mark.parametrize(
    ("release", "weights"), [("0.5 B", 494_032_768), ("8 B", 8_030_261_248), ("70 B", 70_553_706_496)]
)
def test_weights_are_counted_as_their_releases_are_published_tied_ones_once(release: str, weights: int) -> None:
    shape = shape_of(release)
    assert (shape.parameters, shape.trained) == (weights, weights)


def test_adapters_count_beside_the_weights_that_they_change() -> None:
    config = builders.tiny_config(builders.LLAMA)
    bare = shapes.of(count.model(config, FULL))
    adapted = shapes.planned(config, LORA)
    assert adapted.parameters == bare.parameters + adapted.trained
    assert adapted.adapters == 7 * LORA.lora_rank


@pytest.mark.parametrize("cards", [1, 8, 64])
@pytest.mark.parametrize("release", count.RELEASES)
def test_under_zero_2_weights_gradients_and_states_take_what_deepspeed_says(release: str, cards: int) -> None:
    shape = shape_of(release)
    for offload in (False, True):
        found = need(shape, cards=cards, offload=offload)
        _, expected = stage_1_and_2.estimate_zero2_model_states_mem_needs(
            shape.parameters, num_gpus_per_node=cards, cpu_offload=offload
        )
        assert found.states + found.step == pytest.approx(expected, abs=BYTES_OF_DEEPSPEED)


@pytest.mark.parametrize("cards", [1, 8, 64])
@pytest.mark.parametrize("release", count.RELEASES)
def test_under_zero_3_they_take_what_deepspeed_says_but_for_its_steps_in_parts(release: str, cards: int) -> None:
    shape = shape_of(release)
    found = need(shape, cards=cards, zero_stage=3)
    _, expected, gathered = stage3.estimate_zero3_model_states_mem_needs(
        shape.parameters, shape.largest, num_gpus_per_node=cards, cpu_offload=False, cpu_offload_params=False
    )
    share = shape.parameters / cards
    # Its figure has gradients once, in float32, and for the whole share; they lie there in bf16 besides.
    difference = 2 * share - 4 * max(0, share - 1_000_000_000)
    assert found.states + found.step == pytest.approx(expected - gathered + difference, abs=BYTES_OF_DEEPSPEED)
    assert found.buffers >= gathered


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("family", ["llama", "qwen3", "granite", "olmo2", "gemma3_text"])
def test_activations_are_what_torch_keeps_of_them(family: str, method: Method, *, recompute: bool) -> None:
    config = transformers.AutoConfig.for_model(family, **SMALL)
    setting = dataclasses.replace(SETTING, recompute=recompute)
    counted = count.count(config, WANTED[method], setting)
    found = needs.of(shapes.planned(config, WANTED[method]), setting)
    within = WITHIN.get(family, 0.03)
    assert found.activations + found.logits / 3 == pytest.approx(counted.kept, rel=within)
    assert passing(found) == pytest.approx(counted.peak, rel=within)


@pytest.mark.parametrize("family", families.FAMILIES, ids=lambda one: one.model_type)
def test_a_family_whose_activations_are_not_counted_rightly_is_known_as_such(family: families.Family) -> None:
    config = transformers.AutoConfig.for_model(family.model_type, **SMALL)
    odd = {"gemma2", "mixtral", "qwen2_moe", "qwen3_moe"}
    assert shapes.planned(config, FULL).is_plain == (family.model_type not in odd)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("release", count.RELEASES)
def test_a_pass_of_a_release_takes_at_its_peak_what_torch_counts_within_1_percent(
    release: str, *, recompute: bool
) -> None:
    setting = dataclasses.replace(SETTING, recompute=recompute)
    counted = count.count(count.RELEASES[release], FULL, setting)
    assert passing(needs.of(shape_of(release), setting)) == pytest.approx(counted.peak, rel=0.01)


@pytest.mark.parametrize("method", Method)
def test_without_zero_the_copies_of_autocast_count_too_within_2_percent(method: Method) -> None:
    config = count.RELEASES["0.5 B"]
    shape = shapes.planned(config, WANTED[method])
    for recompute in (False, True):
        setting = dataclasses.replace(SETTING, zero_stage=0, recompute=recompute)
        counted = count.count(config, WANTED[method], setting)
        found = needs.of(shape, setting)
        copies = found.weights - 4 * shape.trained - 2 * (shape.parameters - shape.trained)
        assert passing(found) + copies == pytest.approx(counted.peak, rel=0.02)
