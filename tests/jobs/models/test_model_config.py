"""Keys of config.json: each known one has one purpose, and each purpose is kept."""

import collections
import copy
import logging
import pathlib
import random
from typing import Any

import numpy as np
import pytest

from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.models import arithmetic, families, model_config, model_folder, prompts
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.stages import extract
from modelrefresh_jobs.storage import sealed
from modelrefresh_jobs.weights import candidate, compatibility
from modelrefresh_jobs.weights.merge_sources import MergeSources
from tests.jobs import builders

TABLES = (
    *(model_config.ARITHMETIC, model_config.SERVING, model_config.FORMATS, model_config.COSMETIC),
    model_config.ELSEWHERE,
)
ARCHS = sorted(builders.CONFIGS)


@pytest.mark.parametrize("family", families.FAMILIES, ids=lambda family: family.model_type)
def test_no_key_has_two_tables(family: families.Family) -> None:
    own = family.keys - {*family.spelled} - {one for many in family.spelled.values() for one in many}
    counted = collections.Counter(key for table in (*TABLES, own) for key in table)
    assert [key for key, count in counted.items() if count > 1] == []


@pytest.fixture(scope="module", params=ARCHS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> builders.Pair:
    return builders.tiny_pair(tmp_path_factory.mktemp("pair"), arch=request.param)


def edited(made: builders.Pair, root: pathlib.Path, base: dict[str, Any], instruct: dict[str, Any]) -> builders.Pair:
    """The pair with other keys in both config.json; the weights are links."""
    for role, changes in (("base", base), ("instruct", instruct)):
        source, target = getattr(made, role), root / role
        target.mkdir()
        for path in source.iterdir():
            (target / path.name).symlink_to(path)
        document = model_folder.read_json(source / "config.json") | changes
        (target / "config.json").unlink()
        builders.write_json(target / "config.json", document)
    return builders.Pair(base=root / "base", instruct=root / "instruct", trained=root / "base")


def merged(made: builders.Pair, root: pathlib.Path) -> pathlib.Path:
    residual, version = root / "residual", root / "version"
    with sealed.draft(root, kind="residual", label="residual") as draft:
        base, instruct = model_folder.accept(made.base), model_folder.accept(made.instruct)
        extract.store(base, instruct, draft, progress=builders.quiet(Stage.EXTRACT), target=residual)
    with sealed.draft(root, kind="version", label="version") as draft:
        parts = MergeSources(start=made.base, trained=made.trained, residual=residual)
        candidate.store(parts, draft, progress=builders.quiet(Stage.MERGE), target=version)
    return version


@pytest.mark.parametrize(
    ("base", "instruct", "said"),
    [
        ({"sliding_window": 4}, {"sliding_window": None}, "sliding_window: base 4, instruct None"),
        ({"rms_norm_eps": 1e-5}, {"rms_norm_eps": 1e-6}, "rms_norm_eps: base 1e-05, instruct 1e-06"),
        ({"hidden_act": "gelu"}, {}, "hidden_act: base 'gelu', instruct 'silu'"),
        ({"attention_bias": True}, {}, "attention_bias: base True, instruct False"),
        ({"rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}}, {}, "rope: base (1000000.0, 'default', ())"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, {}, "('factor', 2.0)"),
        ({"partial_rotary_factor": 0.5}, {}, "('partial_rotary_factor', 0.5)"),
        ({"per_layer_config": {"0": {"rms_norm_eps": 1e-3}}}, {}, "per_layer_config: base {'0'"),
        ({"attn_logit_softcapping": 50.0}, {}, "attn_logit_softcapping: base 50.0, instruct None (a key that this"),
        ({"residual_multiplier": 0.2}, {"residual_multiplier": 0.3}, "residual_multiplier: base 0.2, instruct 0.3"),
    ],
)
def test_a_pair_that_computes_otherwise_is_refused_with_both_values(
    made: builders.Pair, tmp_path: pathlib.Path, base: dict[str, Any], instruct: dict[str, Any], said: str
) -> None:
    on = {"use_sliding_window": True, "max_window_layers": 0, "layer_types": None} if "sliding_window" in base else {}
    pair_of = edited(made, tmp_path, base | on, instruct | on)
    if on and "Llama" in model_folder.accept(pair_of.base).architecture:
        return  # the family that knows no window
    with pytest.raises(StageError) as caught:
        compatibility.check_pair(model_folder.accept(pair_of.base), model_folder.accept(pair_of.instruct))
    assert caught.value.reason == "ResidualIncompatible"
    assert said in str(caught.value)


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_a_context_length_that_frequencies_follow_is_arithmetic(kind: str) -> None:
    one, other = (
        {"rope_scaling": {"rope_type": kind, "factor": 2.0}, "max_position_embeddings": length} for length in (64, 128)
    )
    assert arithmetic.rope(one) != arithmetic.rope(other)


@pytest.mark.parametrize("seed", range(4))
def test_without_training_the_merged_model_says_what_the_instruct_model_says(
    made: builders.Pair, tmp_path: pathlib.Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 -- inputs, not secrets
    harmless: dict[str, tuple[Any, ...]] = {
        "max_position_embeddings": (64, 256, 512),
        "max_window_layers": (1, 28),
        "attention_dropout": (0.0, 0.3),
        "initializer_range": (0.02, 0.5),
        "use_cache": (True, False),
        "pretraining_tp": (1, 2),
        "transformers_version": ("4.40.1", "5.3.0"),
        "use_mrope": (False, None),
        "output_hidden_states": (True, False),
        "temperature": (0.3, None),
        "pad_token_id": (None, 1),
    }
    base, instruct = ({key: chance.choice(values) for key, values in harmless.items()} for _ in range(2))
    found = edited(made, tmp_path, base, instruct)
    version = merged(found, tmp_path)
    served, stock = (model_folder.read_json(folder / "config.json") for folder in (version, found.instruct))
    np.testing.assert_array_equal(builders.logits(version), builders.logits(found.instruct))
    assert {key: served.get(key) for key in model_config.SERVING} == {
        key: stock.get(key) for key in model_config.SERVING
    }


def test_what_the_instruct_model_has_otherwise_and_what_nobody_knows_is_logged(
    made: builders.Pair, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = edited(made, tmp_path, {"max_position_embeddings": 512, "new": 1}, {"new": 1})
    with caplog.at_level(logging.INFO):
        compatibility.check_pair(model_folder.accept(found.base), model_folder.accept(found.instruct))
    assert "max_position_embeddings: base 512, instruct 128; refreshed models have the instruct model's" in caplog.text
    assert "keys that this version does not know: new" in caplog.text


@pytest.mark.parametrize(
    "changes",
    [
        {"transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16"}}, "is_llama_config": True},
        {"neftune_noise_alpha": 5, "use_flash_attn": True, "_flash_attn_2_enabled": True},
        {"tokenizer_model_max_length": 4096, "tokenizer_padding_side": "right"},
        {"embd_pdrop": 0.1, "resid_pdrop": 0.1, "hidden_dropout": 0.1, "residual_dropout": 0.1},
    ],
)
def test_what_other_programs_write_into_config_json_parts_no_pair(made: builders.Pair, changes: dict[str, Any]) -> None:
    stored = model_folder.accept(made.base).config
    assert model_config.differences(stored, {**stored, **changes}, "base", "instruct", unknown=True) == []


def test_a_key_that_nobody_knows_and_only_one_model_has_is_refused_with_a_way_out(
    made: builders.Pair, tmp_path: pathlib.Path
) -> None:
    found = edited(made, tmp_path, {}, {"new": 1})
    with pytest.raises(StageError, match=r"if the weights do not need new, take it out of config\.json"):
        compatibility.check_pair(model_folder.accept(found.base), model_folder.accept(found.instruct))


def test_a_switch_that_is_off_may_be_left_out(made: builders.Pair) -> None:
    stored = model_folder.accept(made.base).config
    assert model_config.differences({**stored, "use_mrope": False}, stored, "base", "instruct", unknown=True) == []


def test_a_residual_of_a_pair_that_computes_otherwise_is_refused_by_the_merge(
    made: builders.Pair, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = edited(made, tmp_path, {"rms_norm_eps": 1e-5}, {"rms_norm_eps": 1e-6})
    monkeypatch.setattr(compatibility, "check_pair", lambda *_: None)  # a release that did not compare it
    with pytest.raises(StageError, match="rms_norm_eps: start 1e-05, instruct 1e-06"):
        merged(found, tmp_path)


def test_cosmetic_keys_do_not_reach_our_stages(made: builders.Pair) -> None:
    switches = {
        "attention_dropout": 0.5,
        "output_hidden_states": True,
        "return_dict": False,
        "_attn_implementation": "flash_attention_2",
        "chunk_size_feed_forward": 1,
    }
    stored = model_folder.accept(made.base).config
    assert (
        model_config.load(made.base, {**stored, **switches}).to_dict() == model_config.load(made.base, stored).to_dict()
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "gpt2"}, "model_type is 'gpt2', expected"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0"),
        ({"hidden_size": "32"}, "hidden_size is '32'"),
        ({"rms_norm_eps": "1e-05"}, "rms_norm_eps is '1e-05'"),
        ({"rms_norm_eps": True}, "rms_norm_eps is True"),
        ({"hidden_act": 1}, "hidden_act is 1"),
        ({"attention_bias": "false"}, "attention_bias is 'false'"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings is 1"),
        ({"num_key_value_heads": [2]}, r"num_key_value_heads is \[2\]"),
        ({"rope_theta": "much", "rope_parameters": None}, "much"),
        ({"layer_types": 3}, "'int' object is not iterable"),
    ],
)
def test_a_config_that_says_nothing_sensible_is_refused_with_what_it_says(
    made: builders.Pair, tmp_path: pathlib.Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(StageError, match=rf"config\.json: .*{said}") as caught:
        model_folder.accept(edited(made, tmp_path, changes, {}).base)
    assert caught.value.reason == "ModelUnreadable"


def test_reading_a_configuration_leaves_it_as_it_was(made: builders.Pair) -> None:
    scaled = {
        "rope_scaling": {"type": "yarn", "factor": 4.0},
        "rope_parameters": None,
    }  # transformers fills it in place
    stored = {**model_folder.accept(made.base).config, **scaled}
    before = copy.deepcopy(stored)
    model_config.load(made.base, stored)
    prompts.effective(made.base, stored)
    assert stored == before


def test_a_value_that_transformers_refuses_is_the_users(made: builders.Pair) -> None:
    with pytest.raises(StageError, match="transformers refuses it") as caught:
        model_config.load(made.base, {**model_folder.accept(made.base).config, "hidden_act": 7})
    assert caught.value.reason == "ModelUnreadable"


def test_more_layers_than_any_model_has_are_refused_before_one_is_built(made: builders.Pair) -> None:
    with pytest.raises(ValueError, match=r"num_hidden_layers is 1000000000, more than the 2048"):
        arithmetic.of({**model_folder.accept(made.base).config, "num_hidden_layers": 10**9})
