"""Meaning of each key of config.json; every known key is in exactly one table, or in the row of its family.

Arithmetic keys say what the weights compute: models that are put together must agree in them.
Serving keys are what callers see; together with the cosmetic ones, which no stage heeds, they
are the instruct model's. An unknown key might be arithmetic. Knows no weights.
"""

import copy
import logging
import pathlib
from collections.abc import Mapping
from typing import Any

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.models import arithmetic, families, library_errors
from modelrefresh_jobs.process import errors
from modelrefresh_jobs.process.errors import StageError

LOG = logging.getLogger("modelrefresh.jobs")

_ATTENTION = ("layer_types", "max_window_layers", "sliding_window", "use_sliding_window")
_ROPE = ("original_max_position_embeddings", "partial_rotary_factor", "rope_parameters", "rope_scaling", "rope_theta")
_LONGEST = ("max_position_embeddings", "max_seq_length", "max_sequence_length", "model_max_length", "seq_length")
ARITHMETIC = frozenset(
    {*arithmetic.SHAPE, *arithmetic.PLAIN, *_ATTENTION, *_ROPE, "head_dim", "model_type", "num_key_value_heads"}
)
_POSITIONS = frozenset({*_ATTENTION, *_ROPE, *_LONGEST})
"""Keys that say how positions are encoded, how many there are, and how far a token sees."""
SERVING = frozenset(
    {
        *("bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "decoder_start_token_id"),
        *_LONGEST,
    }
)
FORMATS = frozenset({"dtype", "torch_dtype"})
"""Number formats of the weights; the weight files have their own."""
_GENERATION = (
    *("assistant_confidence_threshold", "assistant_lookbehind", "bad_words_ids", "begin_suppress_tokens"),
    *("diversity_penalty", "do_sample", "early_stopping", "encoder_no_repeat_ngram_size"),
    *("encoder_repetition_penalty", "epsilon_cutoff", "eta_cutoff", "exponential_decay_length_penalty"),
    *("forced_bos_token_id", "forced_eos_token_id", "length_penalty", "max_length", "min_length"),
    *("no_repeat_ngram_size", "num_assistant_tokens", "num_assistant_tokens_schedule", "num_beam_groups", "num_beams"),
    *("num_return_sequences", "output_scores", "remove_invalid_values", "repetition_penalty"),
    *("return_dict_in_generate", "suppress_tokens", "target_lookbehind", "temperature", "top_k", "top_p", "typical_p"),
)
_OF_OTHER_TASKS = (
    *("add_cross_attention", "cross_attention_hidden_size", "finetuning_task", "id2label", "is_decoder", "label2id"),
    *("num_labels", "prefix", "problem_type", "task_specific_params", "tie_encoder_decoder", "tokenizer_class"),
)
_OF_THE_PROGRAM = (
    *("_attn_implementation", "_attn_implementation_autoset", "_commit_hash", "_name_or_path", "attention_dropout"),
    *("attn_implementation", "chunk_size_feed_forward", "experts_implementation", "initializer_range", "name_or_path"),
    *("cache_implementation", "output_attentions", "output_hidden_states", "pretraining_tp", "return_dict"),
    *("tf_legacy_loss", "torchscript"),
    *("transformers_version", "unsloth_fixed", "unsloth_version", "use_bfloat16", "use_cache"),
)
_OF_OTHER_PROGRAMS = (
    *("_flash_attn_2_enabled", "hidden_dropout", "is_llama_config", "neftune_noise_alpha", "residual_dropout"),
    *("tokenizer_model_max_length", "tokenizer_padding_side", "transformers.js_config", "use_flash_attn"),
)
"""No supported class of transformers reads them."""
_OF_TRAINING = ("embd_pdrop", "output_router_logits", "resid_pdrop", "router_aux_loss_coef", "router_jitter_noise")
"""They change what training does beside the loss of the text, which ours does not."""
COSMETIC = frozenset({*_GENERATION, *_OF_OTHER_TASKS, *_OF_THE_PROGRAM, *_OF_OTHER_PROGRAMS, *_OF_TRAINING})
ELSEWHERE = frozenset({"architectures", "auto_map", "quantization_config", "transformers_weights"})
"""`model_folder` has its own rule for each."""
_CHOOSES = frozenset(
    {
        *("_attn_implementation", "_attn_implementation_autoset", "_commit_hash", "_name_or_path"),
        *("attn_implementation", "experts_implementation", "name_or_path"),
    }
)
"""They tell a loader which kernels to take, or where the model once came from."""
COMMON = ARITHMETIC | SERVING | FORMATS | COSMETIC | ELSEWHERE
"""Keys that mean the same in every family."""


def known(config: Mapping[str, Any]) -> frozenset[str]:
    """All keys that are understood in the config.json of this family."""
    return COMMON | families.of(config).keys


def check(folder: pathlib.Path, config: Mapping[str, Any]) -> None:
    """Refuse a config.json whose arithmetic cannot be determined.

    Raises:
        StageError: ModelUnreadable, when a value is not possible; the message names the key.
    """
    named = config.get("architectures")
    family = families.named(named[0]) if isinstance(named, list) and named else None
    known = ", ".join(sorted(one.model_type for one in families.FAMILIES))
    expected = family.model_type if family else f"one of {known}"
    fault = None if config.get("model_type") == expected else f"model_type is {errors.shown(config.get('model_type'))}"
    if not fault:
        try:
            arithmetic.of(config)
        except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError) as error:
            fault, expected = str(error), "what transformers writes there"
    if fault:
        raise StageError(
            StageReason.MODEL_UNREADABLE, f"{folder / 'config.json'}: {fault}, expected {expected}; correct the file"
        )


def differences(
    left: Mapping[str, Any], right: Mapping[str, Any], left_role: str, right_role: str, *, unknown: bool = False
) -> list[str]:
    """Lines that say in which arithmetic two models differ, with `unknown` also in which keys of no table.

    The size of the vocabulary is not among it: it is a number of rows, and where those must agree shapes are compared.

    Raises:
        ValueError: as `arithmetic.of` does.
    """
    roles = left_role, right_role
    faults = _differing(_computed(left), _computed(right), roles)
    if unknown:
        strange = unknown_differences(left, right)
        lines = _differing({key: left.get(key) for key in strange}, {key: right.get(key) for key in strange}, roles)
        faults += [f"{line} (a key that this version does not know)" for line in lines]
    return faults


def position_differences(
    left: Mapping[str, Any], right: Mapping[str, Any], left_role: str, right_role: str
) -> list[str]:
    """Lines that say in which encoding of positions, and in how many of them, two models differ."""
    return _differing(_positions(left), _positions(right), (left_role, right_role))


def unknown_differences(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[str]:
    """Keys in no table in which two models differ; absent counts as null, false, 0 or empty."""
    strange = sorted({*left, *right} - known(left) - known(right))
    return [key for key in strange if (left.get(key) or None) != (right.get(key) or None)]


def announce(base: Mapping[str, Any], instruct: Mapping[str, Any], folder: pathlib.Path) -> None:
    """Log what is taken from the instruct model although the base has it otherwise, and keys in no table."""
    for key in sorted(SERVING & {*base, *instruct}):
        if base.get(key) != instruct.get(key):
            line = _difference(key, base.get(key), instruct.get(key), "base", "instruct")
            LOG.info("%s; refreshed models have the instruct model's", line)
    if strange := sorted(key for key in {*base, *instruct} - known(instruct) if base.get(key) or instruct.get(key)):
        LOG.warning(
            "%s: keys that this version does not know: %s",
            folder / "config.json",
            errors.few(strange, separator=", "),
        )


def served(instruct: Mapping[str, Any], *, dtype: str) -> dict[str, Any]:
    """The config.json of a refreshed model: the instruct model's, since base and instruct agree in arithmetic."""
    spelling = "torch_dtype" if "torch_dtype" in instruct else "dtype"  # transformers 4 and 5
    return {key: value for key, value in written(instruct).items() if key not in FORMATS} | {
        spelling: dtype,
        "use_cache": True,
    }


def transferred(start: Mapping[str, Any], instruct: Mapping[str, Any]) -> dict[str, Any]:
    """The config.json of a sum whose residual was cut from another base: its positions are the start's."""
    positions = _POSITIONS | families.of(start).read
    kept = {key: value for key, value in instruct.items() if key not in positions}
    return kept | {key: value for key, value in start.items() if key in positions}


def written(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a config.json that go into a version: known ones that choose no program.

    So the evaluated model is the served one, whatever a server would make of an unknown key.
    """
    kept = known(config) - _CHOOSES - (ELSEWHERE - {"architectures"})
    return {key: value for key, value in config.items() if key in kept}


def load(folder: pathlib.Path, config: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- the library's are untyped
    """The library's configuration of an accepted model, without what its file may switch on beside the arithmetic.

    Raises:
        StageError: ModelUnreadable, when transformers refuses a value.
    """
    import transformers

    # An unknown key becomes an attribute, and some attributes make transformers fetch code.
    heeded = {key: value for key, value in config.items() if key in known(config) - COSMETIC - ELSEWHERE}
    what = f"{folder / 'config.json'}: transformers refuses it"
    with library_errors.reading(what, expected="what transformers writes there"):
        return transformers.AutoConfig.for_model(**copy.deepcopy(heeded))  # it fills in what is nested


def _computed(config: Mapping[str, Any]) -> dict[str, object]:
    return {key: value for key, value in arithmetic.of(config).items() if key != "vocab_size"}


def _positions(config: Mapping[str, Any]) -> dict[str, object]:
    found = arithmetic.of(config)
    return {key: found[key] for key in ("rope", "sliding_window")} | {key: config.get(key) for key in _LONGEST}


def _differing(ours: Mapping[str, object], theirs: Mapping[str, object], roles: tuple[str, str]) -> list[str]:
    return [
        _difference(key, ours.get(key), theirs.get(key), *roles)
        for key in {**ours, **theirs}
        if ours.get(key) != theirs.get(key)
    ]


def _difference(key: str, ours: object, theirs: object, left_role: str, right_role: str) -> str:
    return f"{key}: {left_role} {errors.shown(ours)}, {right_role} {errors.shown(theirs)}"
