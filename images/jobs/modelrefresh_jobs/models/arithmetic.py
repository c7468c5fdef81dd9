"""What the weights of a model compute, by its config.json: one spelling for what others spell differently.

An absent key means what transformers takes for it, see `families`. Knows nothing of what models must agree in.
"""

import itertools
from collections.abc import Mapping
from typing import Any

from modelrefresh_jobs.models import families
from modelrefresh_jobs.models.families import Family
from modelrefresh_jobs.process import errors

SHAPE = ("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers", "vocab_size")
PLAIN = {
    "attention_bias": False,
    "hidden_act": "silu",
    "is_encoder_decoder": False,
    "mlp_bias": False,
    "per_layer_config": None,
    "pruned_heads": None,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
}
"""Arithmetic keys that mean what they say, with what an absent key means to transformers in most families."""
_LAYERS = 2048
"""More than any model has; each is a module that is built, and an entry of lists."""
_WIDTH = 1 << 24
_ABSENT = {"hidden_size": 4096, "num_attention_heads": 32, "num_hidden_layers": 32, **PLAIN}


def tied(config: Mapping[str, Any]) -> bool:
    """Whether the head is the embedding.

    Raises:
        ValueError: as `of` does.
    """
    return of(config)["tie_word_embeddings"] is True


def of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the weights compute, in one spelling, with what transformers takes for absent keys.

    Raises:
        ValueError: when a size is no whole number above 0, or a value has another type than transformers writes.
    """
    family = families.of(config)
    absent = {**_ABSENT, **family.absent}
    filled = {**absent, **_spelled(family, config)}
    found: dict[str, Any] = {key: _size(filled, key) for key in SHAPE}
    found |= {key: _plain(key, filled[key], absent[key]) for key in PLAIN}
    heads = found["num_attention_heads"]
    found["head_dim"] = _size(filled, "head_dim") if filled.get("head_dim") else found["hidden_size"] // heads
    shared = filled.get("num_key_value_heads") is not None
    found["num_key_value_heads"] = _size(filled, "num_key_value_heads") if shared else heads
    found["sliding_window"] = _windows(family, filled, found["num_hidden_layers"])
    found |= {"model_type": family.model_type, "rope": _ropes(family, filled)}
    return found | {key: _own(key, default, filled) for key, default in family.own.items()}


def rope(config: Mapping[str, Any]) -> tuple[object, ...]:
    """The rotary embedding as (theta, type, sorted rest); transformers 4 and 5 spell it differently."""
    nested = config.get("rope_scaling") or config.get("rope_parameters") or {}
    rest = dict(nested) if isinstance(nested, dict) else {}
    theta = rest.pop("rope_theta", None) or config.get("rope_theta") or 10000.0
    kind = rest.pop("rope_type", None) or rest.get("type") or "default"
    kind = "longrope" if kind == "su" else kind  # its name before there was another
    rest.pop("type", None)
    share = rest.pop("partial_rotary_factor", None) or config.get("partial_rotary_factor")
    if share not in (None, 1):
        rest["partial_rotary_factor"] = share
    longest = config.get("max_position_embeddings")
    if kind in ("llama3", "yarn", "longrope"):
        above = config.get("original_max_position_embeddings")
        rest["original_max_position_embeddings"] = above or rest.get("original_max_position_embeddings") or longest
    if kind in ("dynamic", "longrope") or (kind != "default" and "factor" not in rest):
        rest["max_position_embeddings"] = longest  # such frequencies follow it, so here it is arithmetic
    return (float(str(theta)), kind, tuple(sorted(rest.items())))


def _size(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{key} is {errors.shown(value)}" if key in config else f"{key} is missing")
    most = _LAYERS if key == "num_hidden_layers" else _WIDTH
    if value > most:
        raise ValueError(f"{key} is {errors.shown(value)}, more than the {most} that are read")
    return value


def _spelled(family: Family, config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with one spelling for each key; of a key that has others, its plain name means nothing."""
    other = {one for spellings in family.spelled.values() for one in spellings} | {*family.spelled}
    found = {key: value for key, value in config.items() if key not in other}
    for key, spellings in family.spelled.items():
        if there := [one for one in spellings if one in config]:
            found[key] = config[there[0]]
    return found


def _plain(key: str, value: object, default: object) -> object:
    if value is None or value == {}:
        return default
    kind = type(default)
    if default is not None and type(value) is not kind and not (kind is float and type(value) is int):
        raise ValueError(f"{key} is {errors.shown(value)}")
    return value


def _ropes(family: Family, config: Mapping[str, Any]) -> object:
    """The rotary embedding, or that of full and of local attention."""
    if not family.local_rope:
        return rope(config)
    nested = config.get("rope_parameters") or {"full_attention": {"rope_type": "default"}}
    # As transformers does it: a scaling that spells its kind `type` leaves the kind as it is.
    full = {**(nested.get("full_attention") or {}), **(config.get("rope_scaling") or {})}
    local = {"rope_theta": config.get("rope_local_base_freq"), "rope_parameters": nested.get("sliding_attention")}
    return rope({**config, "rope_scaling": None, "rope_parameters": full}), rope(local)


def _own(key: str, default: object, config: Mapping[str, Any]) -> object:
    """A key of one family; null is a value of its own but where the default is a truth or a list."""
    absent = default(config) if callable(default) else default
    value = config.get(key, absent)
    if isinstance(absent, bool | list):
        return _plain(key, value, absent)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not number:
        raise ValueError(f"{key} is {errors.shown(value)}")
    return value


def _windows(family: Family, config: Mapping[str, Any], layers: int) -> object:
    """The attention window in tokens: of all layers, or runs of (number of layers, window); None without a window."""
    window, kinds = config.get("sliding_window"), config.get("layer_types")
    if family.switched and not config.get("use_sliding_window"):
        window = None
    sliding = [kind == "sliding_attention" for kind in kinds] if kinds is not None else family.slides(config, layers)
    runs = [(len(list(run)), window if slides else None) for slides, run in itertools.groupby(sliding)]
    return runs[0][1] if len(runs) == 1 or window is None else tuple(runs)
