"""Files that the instruct model gives beside weights: tokenizer, chat template, stop tokens, licence.

Without the instruct model's stop tokens a merged model would never end an answer, and without its tokenizer not know
the tokens that only that model has. Which files these are is the rule of `model_files`, what config.json means that of
`model_config`.
"""

import json
import logging
import pathlib
import shutil
from collections.abc import Mapping

from modelrefresh_jobs.models import model_config, model_folder, prompts
from modelrefresh_jobs.process import guarded_files
from modelrefresh_jobs.storage import model_files

LOG = logging.getLogger("modelrefresh.jobs")

FOLDER = "donor"
"""Folder of these files in a stored residual; the name is part of the format on disk."""


def copy(instruct: pathlib.Path, target: pathlib.Path) -> None:
    """Copy everything but configuration and weights, byte for byte.

    Raises:
        StageError: ModelUnreadable, when one is no regular file or outside of what may be read.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name in model_files.companions(instruct):
        (target / name).parent.mkdir(exist_ok=True)
        _copy(instruct / name, target / name)
    copy_licences(instruct, target)


def copy_licences(model: pathlib.Path, target: pathlib.Path) -> None:
    """Copy the licences, except those already there.

    Raises:
        StageError: ModelUnreadable, as `copy` raises it.
    """
    for path in model_files.licences(model):
        if not (target / path.name).exists():
            _copy(path, target / path.name)


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
    with guarded_files.opened(source) as reading, target.open("wb") as writing:
        shutil.copyfileobj(reading, writing)


def check(instruct: pathlib.Path) -> None:
    """Prove that an instruct model's template and tokenizer work; only log a missing template, evaluation refuses it.

    Raises:
        StageError: ModelUnreadable, when they cannot be loaded or fail on a message.
    """
    if has_template(instruct):
        prompts.prove(instruct)
    else:
        LOG.warning("%s has no chat template; servers and evaluation will not know how to ask it", instruct)


def has_template(folder: pathlib.Path) -> bool:
    """Whether a model's folder has a chat template.

    Raises:
        StageError: ModelUnreadable, when tokenizer_config.json is no JSON object.
    """
    settings = folder / "tokenizer_config.json"
    inside = settings.is_file() and bool(model_folder.read_json(settings).get("chat_template"))
    beside = ("chat_template.jinja", "chat_template.json", model_files.TEMPLATES)
    return inside or any((folder / name).exists() for name in beside)


def write_configuration(target: pathlib.Path, document: Mapping[str, object]) -> None:
    """Write config.json so that equal content gives equal bytes."""
    (target / model_files.CONFIG).write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")


def read_configuration(folder: pathlib.Path) -> dict[str, object]:
    """The instruct model's config.json as a stored residual keeps it.

    Raises:
        StageError: ModelUnreadable, when it is missing, or its arithmetic cannot be determined.
    """
    config = model_folder.read_json(folder / FOLDER / model_files.CONFIG)
    model_config.check(folder / FOLDER, config)
    return config
