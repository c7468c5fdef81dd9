"""What a stage by hand prints: its result on standard output, everything else on standard error.

Libraries write where they like, and processes that a stage starts inherit what it has, so the
file descriptor itself is turned around. Knows documents, no stage.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, TextIO


def take() -> TextIO:
    """The real standard output; whatever else writes there from now on writes to standard error."""
    sys.stdout.flush()
    real = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return real


def write(stream: TextIO, document: Mapping[str, Any] | str, *, as_json: bool) -> None:
    """Write one document, as JSON or as lines `key: value`; a text as it is."""
    lines = [document] if isinstance(document, str) else _lines(document)
    text = json.dumps(document, indent=1, sort_keys=True) if as_json else "\n".join(lines)
    stream.write(text + "\n")
    stream.flush()


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    for key, value in document.items():
        for item in value if isinstance(value, list) else [value]:
            yield f"{key}: {_text(item)}"


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items()) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
