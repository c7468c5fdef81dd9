"""Cards: what a model's own README.md says of it, and that of a stored residual, as the hub and its tools read them.

A licence is taken over as the models' own cards name it; where they do not, the card says so and guesses nothing.
"""

import json
import pathlib
import re
from collections.abc import Iterable, Mapping

from modelrefresh.contract import uris
from modelrefresh_jobs.process import guarded_files
from modelrefresh_jobs.storage import model_files

_LIMIT = 4 << 20
_HEAD = re.compile(r"\A---\r?\n(.*?)\r?\n---\s*$", re.DOTALL | re.MULTILINE)
_LICENCE = re.compile(r"^license:[ \t]*[\"']?([A-Za-z0-9][A-Za-z0-9.+-]{0,63})[\"']?[ \t]*\r?$", re.MULTILINE)
_NAME = r"[A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,96}"
_ORIGINAL = re.compile(
    rf"^base_model:[ \t]*\[?(?:\r?\n[ \t]*-[ \t]*)?[\"']?({_NAME})[\"']?[ \t]*[\],\r]*$", re.MULTILINE
)
_UNKNOWN = "unknown"
_WORDS = """\
# Instruction residual

`instruct - base`, tensor by tensor under the model's names, in its own format: added to weights of the same shapes it
gives them what instruction tuning gave the base. `exceptions.safetensors` holds the weights of the instruct model that
the sum, rounded, does not give back; with them this base gives it bit for bit. Files beside weights are in `donor/`.
"""


def licence_of(model: pathlib.Path) -> str:
    """The licence that a model's own card names, or `unknown`.

    Raises:
        StageError: ModelUnreadable, when the card is no regular file or outside of what may be read.
    """
    return _said(model, _LICENCE) or _UNKNOWN


def original_of(model: pathlib.Path, config: Mapping[str, object]) -> str | None:
    """ORG/NAME of the model that this one was made from, by its card or else its configuration.

    Raises:
        StageError: ModelUnreadable, as `licence_of` raises it.
    """
    path = config.get("_name_or_path")
    return _said(model, _ORIGINAL) or (path if isinstance(path, str) and re.fullmatch(_NAME, path) else None)


def _said(model: pathlib.Path, what: re.Pattern[str]) -> str | None:
    file = model / model_files.CARD
    text = guarded_files.read(file, limit=_LIMIT).decode(errors="replace") if file.is_file() else ""
    head = _HEAD.search(text)
    found = what.search(head[1]) if head else None
    return found[1] if found else None


def of_residual(names: Mapping[str, str | None], licences: Mapping[str, str], facts: Mapping[str, object]) -> str:
    """The text of a residual's card; `names` on the hub and `licences` by role."""
    head = {
        "base_model": sorted({name for name in names.values() if name}),
        "license": common(licences.values()),
        "library_name": "modelrefresh",
        "tags": ["instruction-residual", "task-arithmetic"],
    }
    # JSON is YAML.
    lines = [f"{key}: {json.dumps(value)}" for key, value in head.items() if value]
    models_table = [f"| {role} | {names.get(role) or 'not of the hub'} | {licences[role]} |" for role in licences]
    table = ["| role | model | licence |", "|---|---|---|", *models_table]
    rows = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())]
    return "\n".join(["---", *lines, "---", _WORDS, *table, "", *rows, ""])


def hub_name(uri: str) -> str | None:
    """`ORG/NAME` of a place on the hub, None for any other."""
    return uri.removeprefix(uris.HUB.prefix).partition("@")[0] if uri.startswith(uris.HUB.prefix) else None


def common(licences: Iterable[str]) -> str:
    """The licence that all name; `other` asks the reader to look."""
    named = set(licences)
    return named.pop() if len(named) == 1 else "other"
