"""What the instruct model gives beside weights: tokenizer, chat template, stop tokens, licence.

A merged model has the architecture of its base and the manners of its instruct model. Without
the latter's stop tokens it would never end an answer. Knows file names and configuration keys.
"""

import json
import logging
import pathlib
import shutil
from collections.abc import Mapping

from modelrefresh_jobs import intake, prompts

LOG = logging.getLogger("modelrefresh.jobs")

FOLDER = "donor"
_FILES = (
    *("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json", "generation_config.json"),
)
_LICENCES = ("LICENSE*", "LICENCE*", "NOTICE*", "COPYING*", "USE_POLICY*")
_STOP_KEYS = ("eos_token_id", "bos_token_id", "pad_token_id")


def copy(instruct: pathlib.Path, target: pathlib.Path) -> None:
    """Copy everything but configuration and weights."""
    target.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        if (instruct / name).is_file():
            shutil.copyfile(instruct / name, target / name)
    copy_licences(instruct, target)


def copy_licences(model: pathlib.Path, target: pathlib.Path) -> None:
    """Licences travel with the weights; files already there stay."""
    for path in sorted(path for pattern in _LICENCES for path in model.glob(pattern)):
        if path.is_file() and not (target / path.name).exists():
            shutil.copyfile(path, target / path.name)


def check(instruct: pathlib.Path) -> None:
    """Try an instruct model's files on one user message; without a chat template only warn, evaluation refuses it.

    Raises:
        StageError: ModelUnreadable.
    """
    if _has_template(instruct):
        prompts.load(instruct)
    else:
        LOG.warning("%s has no chat template; servers and evaluation will not know how to ask it", instruct)


def _has_template(folder: pathlib.Path) -> bool:
    settings = folder / "tokenizer_config.json"
    inside = settings.is_file() and "chat_template" in intake.read_json(settings)
    return inside or any((folder / name).is_file() for name in ("chat_template.jinja", "chat_template.json"))


def configuration(start: Mapping[str, object], instruct: Mapping[str, object], *, dtype: str) -> dict[str, object]:
    """The merged config.json: the start's, with the instruct model's stop tokens."""
    merged = {key: value for key, value in start.items() if key not in (*_STOP_KEYS, "_name_or_path")}
    merged |= {key: instruct[key] for key in _STOP_KEYS if key in instruct}
    spelling = "torch_dtype" if "torch_dtype" in start else "dtype"  # transformers 4 and 5
    return merged | {spelling: dtype, "use_cache": True}


def write_configuration(target: pathlib.Path, document: Mapping[str, object]) -> None:
    """Write config.json so that equal content gives equal bytes."""
    (target / "config.json").write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")


def read_configuration(folder: pathlib.Path) -> dict[str, object]:
    """The instruct model's config.json as kept among donor files."""
    return intake.read_json(folder / FOLDER / "config.json")
