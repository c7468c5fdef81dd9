"""The table of families: what a row says of config.json is what transformers makes of it."""

import copy
import random
from typing import Any

import pytest
import transformers

from modelrefresh_jobs.models import arithmetic, families, model_config
from modelrefresh_jobs.models.families import Family

EACH = pytest.mark.parametrize("family", families.FAMILIES, ids=lambda family: family.model_type)
ROPES: tuple[dict[str, Any], ...] = (
    {},
    {"rope_theta": 5e5},
    {"rope_theta": 10000, "rope_scaling": None},
    {"rope_theta": 1e6, "rope_scaling": {"type": "linear", "factor": 2.0}},
    {"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}, "max_position_embeddings": 64},
    {"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}},
    {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}},
    {
        "rope_parameters": {
            "rope_theta": 5e5,
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        }
    },
)


DEFAULT_OR_LONG = ({}, {"rope_theta": 5e5}, {"rope_scaling": None, "original_max_position_embeddings": 64})
"""Phi 3 takes no other."""
READ: dict[str, tuple[Any, ...]] = {
    "no_rope_layer_interval": (2, 3),
    "no_rope_layers": (None, [1, 0, 1, 0, 0]),
    "mlp_only_layers": (None, [], [1]),
    "sliding_window_pattern": (2, 3),
    "rope_local_base_freq": (5000.0,),
    "final_logit_softcapping": (None, 20.0),
    "attn_logit_softcapping": (None, 20.0),
}


def configuration(family: Family) -> type[transformers.PreTrainedConfig]:
    return transformers.CONFIG_MAPPING[family.model_type]


def drawn(family: Family, seed: int) -> dict[str, Any]:
    """A config.json as some release of some exporter may have written it: much is left out."""
    chance = random.Random(f"{family.model_type} {seed}")  # noqa: S311 -- inputs, not secrets
    layers = chance.choice([2, 3, 5])
    ropes = DEFAULT_OR_LONG if family.model_type == "phi3" else ROPES
    document = {"num_hidden_layers": layers, "hidden_size": 64, "num_attention_heads": 4} | chance.choice(ropes)
    ours = configuration(family)().to_dict()
    choices: dict[str, tuple[Any, ...]] = {
        "num_key_value_heads": (2, 4) if family.absent.get("num_key_value_heads") else (None, 2, 4),
        "hidden_act": ("silu", "gelu"),
        "rms_norm_eps": (1e-6, 1e-5),
        "tie_word_embeddings": (True, False),
        "attention_bias": (True, False),
        "mlp_bias": (True, False),
        "use_sliding_window": (True, False),
        "sliding_window": (None, 8, 16),
        "max_window_layers": (0, 1, 2, 28),
        "head_dim": (16, 32),
        "max_position_embeddings": (128, 256),
        "temperature": (0.6,),
        "torch_dtype": ("bfloat16",),
    }
    if "layer_types" in ours:
        kinds = ["sliding_attention", *["full_attention"] * (layers - 1)]
        choices["layer_types"] = (["full_attention"] * layers, kinds)
    choices |= {spelling: choices.get(key, (2, 4)) for key, many in family.spelled.items() for spelling in many[:1]}
    choices |= {key: READ.get(key) or _values(default) for key, default in family.own.items()}
    choices |= {key: READ[key] for key in family.read if key in READ}
    document |= {key: chance.choice(values) for key, values in choices.items() if chance.random() < 0.5}
    if "rope_scaling" in document or "rope_parameters" in document:  # as in every release
        document.setdefault("max_position_embeddings", 128)
    return document | {"model_type": family.model_type, "architectures": [family.architecture]}


def _values(default: object) -> tuple[Any, ...]:
    if isinstance(default, bool):
        return True, False
    return (2, 4)


@EACH
def test_every_key_that_transformers_knows_for_a_family_has_a_table(family: Family) -> None:
    keys = {*configuration(family)().to_dict(), *transformers.PreTrainedConfig().to_dict()}
    keys |= {*transformers.GenerationConfig()._get_default_generation_params()}  # noqa: SLF001 -- popped from configs
    assert sorted(keys - model_config.known({"model_type": family.model_type})) == []


@pytest.mark.parametrize("seed", range(20))
@EACH
def test_what_a_config_leaves_out_is_what_transformers_takes_for_it(family: Family, seed: int) -> None:
    document = drawn(family, seed)
    spelled = transformers.AutoConfig.for_model(**copy.deepcopy(document)).to_dict()
    known = model_config.ARITHMETIC | model_config.SERVING | family.keys
    assert arithmetic.of(document) == arithmetic.of(
        {"attention_bias": document.get("attention_bias"), "mlp_bias": document.get("mlp_bias")}
        | {key: spelled[key] for key in spelled if key in known}
    )


@EACH
def test_an_empty_config_means_what_transformers_takes_for_it(family: Family) -> None:
    spelled = configuration(family)().to_dict()
    assert arithmetic.of({"model_type": family.model_type}) == arithmetic.of(spelled)
