"""Whether two models fit together: base and instruct of a pair, start and trained of a run.

Compares architecture, tensor names, shapes, rotary embedding, tie flag and tokenizers, and
lists everything that differs at once. Number formats may differ. Knows no weights' values.
"""

import pathlib
from collections.abc import Mapping

from modelrefresh_jobs import intake
from modelrefresh_jobs.failures import StageError
from modelrefresh_jobs.intake import Model

_KEYS = (
    "attention_bias",
    "head_dim",
    "hidden_act",
    "hidden_size",
    "intermediate_size",
    "mlp_bias",
    "model_type",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "rms_norm_eps",
    "vocab_size",
)
"""Keys of config.json on which the meaning of the weights hangs."""


def check_pair(base: Model, instruct: Model) -> None:
    """Refuse a base and an instruct model that are not one pair.

    Raises:
        StageError: the message lists all differences.
    """
    faults = [*_config(base, instruct, "base", "instruct"), *_tensors(base, instruct, "base", "instruct")]
    faults += tokenizers(base.folder, instruct.folder)
    _refuse(faults, base.folder, instruct.folder, hint="base and instruct must be two releases of one model")


def check_trained(start: Model, trained: Model) -> None:
    """Refuse a trained checkpoint that is not the start with other values.

    Formats may differ: sums are exact enough for all, and rounding happens once, at the end.

    Raises:
        StageError: the message lists all differences.
    """
    faults = [*_config(start, trained, "start", "trained"), *_tensors(start, trained, "start", "trained")]
    _refuse(faults, start.folder, trained.folder, hint="train the very model that the run starts from")


def tokenizers(base: pathlib.Path, instruct: pathlib.Path) -> list[str]:
    """How two tokenizers differ beyond added tokens."""
    for name in ("tokenizer.json", "tokenizer.model", "vocab.json"):
        present = [(folder / name).is_file() for folder in (base, instruct)]
        if not any(present):
            continue
        if not all(present):
            lacking = "instruct" if present[0] else "base"
            return [f"{name}: missing in {lacking}"]
        if name == "tokenizer.json":
            return _tokenizer_json(intake.read_json(base / name), intake.read_json(instruct / name))
        return [f"{name}: differs"] if (base / name).read_bytes() != (instruct / name).read_bytes() else []
    return ["tokenizer: expected tokenizer.json, tokenizer.model or vocab.json in both, saw none"]


def _config(left: Model, right: Model, left_role: str, right_role: str) -> list[str]:
    pairs: list[tuple[str, object, object]] = [
        ("architecture", left.architecture, right.architecture),
        ("tie_word_embeddings", left.tied, right.tied),
        ("rope", rope(left.config), rope(right.config)),
        *((key, left.config.get(key), right.config.get(key)) for key in _KEYS),
    ]
    return [
        f"{name}: {left_role} {ours!r}, {right_role} {theirs!r}"
        for name, ours, theirs in pairs
        if ours != theirs and not _is_default(name, ours, theirs)
    ]


def rope(config: Mapping[str, object]) -> tuple[object, ...]:
    """The rotary embedding in one form; transformers 5 spells it otherwise than 4 did."""
    nested = config.get("rope_parameters") or config.get("rope_scaling") or {}
    rest = dict(nested) if isinstance(nested, dict) else {}
    theta = rest.pop("rope_theta", None) or config.get("rope_theta") or 10000.0
    kind = rest.pop("rope_type", None) or rest.pop("type", None) or "default"
    rest.pop("type", None)
    return (float(str(theta)), kind, tuple(sorted(rest.items())))


def _is_default(name: str, ours: object, theirs: object) -> bool:
    # Older files leave out what newer ones spell: shapes of tensors prove the heads, False is the default.
    if name in ("head_dim", "num_key_value_heads"):
        return None in (ours, theirs)
    return name in ("attention_bias", "mlp_bias") and {ours, theirs} == {None, False}


def _tensors(left: Model, right: Model, left_role: str, right_role: str) -> list[str]:
    faults = [f"{name}: only in {left_role}" for name in sorted(set(left.tensors) - set(right.tensors))]
    faults += [f"{name}: only in {right_role}" for name in sorted(set(right.tensors) - set(left.tensors))]
    for name in sorted(set(left.tensors) & set(right.tensors)):
        ours, theirs = left.tensors[name].shape, right.tensors[name].shape
        if ours != theirs:
            faults.append(f"{name}: {left_role} {list(ours)}, {right_role} {list(theirs)}")
    return faults


def _tokenizer_json(base: Mapping[str, object], instruct: Mapping[str, object]) -> list[str]:
    ours, theirs = base.get("model"), instruct.get("model")
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return ["tokenizer.json: expected a model with a vocabulary in both"]
    faults = []
    if ours.get("vocab") != theirs.get("vocab"):
        faults.append("tokenizer.json: the vocabularies differ")
    if _merges(ours) != _merges(theirs):
        faults.append("tokenizer.json: the merges differ")
    return faults


def _merges(model: Mapping[str, object]) -> list[str]:
    # Newer files spell a merge as a pair, older ones as one string.
    merges = model.get("merges")
    return [one if isinstance(one, str) else " ".join(one) for one in merges] if isinstance(merges, list) else []


def _refuse(faults: list[str], left: pathlib.Path, right: pathlib.Path, *, hint: str) -> None:
    if faults:
        raise StageError("ResidualIncompatible", f"{left} and {right} do not fit: {'; '.join(faults)}; {hint}")
