"""Prose has one form: a paragraph is one line, whatever its length, so that a changed word is a changed paragraph."""

import pathlib
import re
from collections.abc import Iterator

import pytest

from tests.policy import checkout

_OTHER = re.compile(r"\s*([|>#<:!]|---)|    ")
"""Begins what is no paragraph: a table, a quote, a heading, HTML, a directive, a picture, code."""
_ITEM = re.compile(r"\s*([-*+]|\d+\.)\s")
"""Begins an item of a list, which is one line too."""


def wrapped(text: str) -> Iterator[str]:
    """The second lines of paragraphs."""
    is_code, before = False, ""
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            is_code = not is_code
        plain = "" if is_code or _OTHER.match(line) or line.lstrip().startswith("```") else line.strip()
        if plain and before and not _ITEM.match(line):
            yield line
        before = plain


def test_the_second_line_of_a_paragraph_is_found() -> None:
    assert list(wrapped("one\ntwo\n\n- three\n- four\n  five\n\n```\nsix\nseven\n```\n")) == ["two", "  five"]


@pytest.mark.parametrize("page", [path for path in checkout.files() if path.suffix == ".md"], ids=checkout.name)
def test_a_paragraph_is_one_line(page: pathlib.Path) -> None:
    assert list(wrapped(page.read_text())) == []
