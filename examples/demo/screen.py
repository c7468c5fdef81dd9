"""What a watching person sees: labelled lines, and one line that is drawn again while something goes on.

Without a terminal the moving line becomes one line for each change worth a line.
"""

import shutil
import sys
import time
from typing import Self

LABEL_WIDTH = 11
INDENT = "  "
_CLEAR = "\r\x1b[K"


def say(label: str, text: str) -> None:
    """One labelled line."""
    _write(f"{label:<{LABEL_WIDTH}}{text}\n")


def command(text: str) -> None:
    """A command as the watching person would type it."""
    _write(f"\n$ {text}\n")


def show(text: str = "") -> None:
    """Plain lines, indented."""
    _write("".join(f"{INDENT}{line}".rstrip() + "\n" for line in text.splitlines() or [""]))


class Moving:
    """One line that is drawn again; use it in a `with` block, which ends it."""

    def __init__(self) -> None:
        self._last: object = None
        self._text = ""
        self._begun = time.monotonic()

    def draw(self, text: str, *, change: object) -> None:
        """Draw the line; `change` says when it has become another one for people without a terminal."""
        self._text = text
        if sys.stdout.isatty():
            room = shutil.get_terminal_size().columns - 1
            _write(_CLEAR + f"{INDENT}{text}"[:room])
        elif change != self._last:
            _write(f"{INDENT}[{time.monotonic() - self._begun:4.0f} s] {text}\n")
        self._last = change

    def note(self, text: str) -> None:
        """A line of its own above the moving one."""
        if sys.stdout.isatty():
            _write(_CLEAR)
        show(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if sys.stdout.isatty() and self._text:
            _write(_CLEAR + f"{INDENT}{self._text}\n")


def bar(share: float, *, width: int = 8) -> str:
    """A progress bar for a share between 0 and 1."""
    full = round(width * min(1.0, max(0.0, share)))
    return "▓" * full + "░" * (width - full)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
