"""Comparison of two tokenizers: do they turn a text into the same ids?

The base's is used to train, the instruct model's to serve. Compares vocabulary, merges, normalizer and
pre-tokenizer as our stages get them: transformers may build others than tokenizer.json says, by class and
settings. Added tokens and templates may differ: they are what instruction tuning adds.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from modelrefresh_jobs.models import tokenizer
from modelrefresh_jobs.process import errors

_STEPS = ("normalizer", "pre_tokenizer")
_LARGE = {"vocab": "vocabularies", "merges": "merges"}


def differences(base: pathlib.Path, instruct: pathlib.Path) -> list[str]:
    """Lines that say how two tokenizers differ beyond added tokens; none if they are equal.

    Raises:
        StageError: ModelUnreadable, when a folder has no usable tokenizer.
    """
    ours, theirs = _pipeline(base), _pipeline(instruct)
    faults = [f"tokenizers: the {words} differ" for key, words in _LARGE.items() if ours[key] != theirs[key]]
    return faults + [
        f"tokenizers: {name} in base {errors.shown(ours.get(name))}, in instruct {errors.shown(theirs.get(name))}"
        for name in sorted({*ours, *theirs} - set(_LARGE))
        if (ours.get(name) or None) != (theirs.get(name) or None)  # nothing is spelled null, false or ""
    ]


def _pipeline(folder: pathlib.Path) -> dict[str, Any]:
    document: Mapping[str, Any] = json.loads(tokenizer.load(folder).backend_tokenizer.to_str())
    model = document["model"]
    steps = {f"model.{key}": value for key, value in model.items() if key not in _LARGE}
    return steps | {key: document[key] for key in _STEPS} | {key: model.get(key) for key in _LARGE}
