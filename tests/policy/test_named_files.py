"""Docstrings and comments name files that exist."""

import re
from pathlib import Path

import pytest

from tests.policy import checkout

_NAMED = re.compile(r"`([a-z_0-9/]+\.py)`")
_FILES = {checkout.name(path) for path in checkout.python_files()}


def _is_there(named: str) -> bool:
    return any(file == named or file.endswith(f"/{named}") for file in _FILES)


@pytest.mark.parametrize("path", checkout.production_files(), ids=checkout.name)
def test_a_file_that_a_module_names_exists(path: Path) -> None:
    assert [named for named in _NAMED.findall(path.read_text()) if not _is_there(named)] == []


def test_a_name_of_no_file_is_found() -> None:
    assert [_is_there("contract/limits.py"), _is_there("contract/nothing.py")] == [True, False]
