"""Whether two tokenizers turn a text into the same numbers: the base's learns, the instruct model's serves.

Compares vocabulary, merges, normalizer and pre-tokenizer in the library's own spelling, so that
files written by different releases compare as what they do. Added tokens and templates may
differ: they are what instruction tuning adds.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from modelrefresh_jobs import failures, intake
from modelrefresh_jobs.failures import StageError

_FILES = ("tokenizer.json", "tokenizer.model", "tekken.json", "vocab.json")
_BESIDE = {"vocab.json": ("merges.txt",)}
_STEPS = ("normalizer", "pre_tokenizer")
_STATE = frozenset({"vocab", "merges", "dropout"})
"""Of a tokenizer's model: compared by themselves, or switched off by our stages."""
_SETTINGS = "tokenizer_config.json"
_TEXT = ("add_prefix_space", "do_lower_case", "fix_mistral_regex", "strip_accents")
"""Keys of tokenizer_config.json that make transformers read text otherwise than tokenizer.json says."""


def differences(base: pathlib.Path, instruct: pathlib.Path) -> list[str]:
    """How two tokenizers differ beyond added tokens.

    Raises:
        StageError: a file that is no tokenizer.
    """
    for name in _FILES:
        present = [(folder / name).is_file() for folder in (base, instruct)]
        if not any(present):
            continue
        if not all(present):
            return [f"{name}: missing in {'instruct' if present[0] else 'base'}"]
        if name == "tokenizer.json":
            return [*_compared(_read(base / name), _read(instruct / name)), *_settings(base, instruct)]
        return [*_bytes(base, instruct, (name, *_BESIDE.get(name, ()))), *_settings(base, instruct)]
    return [f"tokenizer: expected {', '.join(_FILES[:-1])} or {_FILES[-1]} in both, saw none"]


def _bytes(base: pathlib.Path, instruct: pathlib.Path, names: tuple[str, ...]) -> list[str]:
    faults = []
    for name in names:
        ours, theirs = (
            (folder / name).read_bytes() if (folder / name).is_file() else None for folder in (base, instruct)
        )
        if ours != theirs:
            faults.append(f"{name}: differs")
    return faults


def _settings(base: pathlib.Path, instruct: pathlib.Path) -> list[str]:
    ours, theirs = (
        intake.read_json(folder / _SETTINGS) if (folder / _SETTINGS).is_file() else {} for folder in (base, instruct)
    )
    return [
        f"{_SETTINGS}: {key} is {ours.get(key)!r} in base, {theirs.get(key)!r} in instruct"
        for key in _TEXT
        if (ours.get(key) or False) != (theirs.get(key) or False)
    ]


def _read(path: pathlib.Path) -> dict[str, Any]:
    import tokenizers

    document = intake.read_json(path)
    if not isinstance(document.get("model"), dict):
        raise StageError("ModelUnreadable", f"{path}: expected a model with a vocabulary, saw none")
    try:
        read: dict[str, Any] = json.loads(tokenizers.Tokenizer.from_str(json.dumps(document)).to_str())
    except Exception as error:
        # The library has no class of its own for what it says of a file.
        raise StageError("ModelUnreadable", f"{path}: not a tokenizer: {error}; copy it again") from error
    return read


def _compared(base: Mapping[str, Any], instruct: Mapping[str, Any]) -> list[str]:
    ours, theirs = base["model"], instruct["model"]
    faults = [
        f"tokenizer.json: the {words} differ"
        for key, words in (("vocab", "vocabularies"), ("merges", "merges"))
        if ours.get(key) != theirs.get(key)
    ]
    pairs = [(f"model.{key}", ours.get(key), theirs.get(key)) for key in sorted({*ours, *theirs} - _STATE)]
    pairs += [(step, base.get(step), instruct.get(step)) for step in _STEPS]
    return faults + [
        f"tokenizer.json: {name} is {failures.short(one)} in base, {failures.short(other)} in instruct"
        for name, one, other in pairs
        if (one or None) != (other or None)  # nothing is spelled as null, false or an empty string
    ]
