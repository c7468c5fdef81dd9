"""The pages of fields, commands and families are what the code says."""

import subprocess
import sys

import pytest

from hack import commands_page, families_page, fields_page
from tests.policy import checkout

REFERENCE = checkout.ROOT / "docs" / "reference"


def test_the_page_of_fields_is_current() -> None:
    assert (REFERENCE / "fields.md").read_text(encoding="utf-8") == fields_page.page(), "run: make crds"


def test_the_page_of_commands_is_current() -> None:
    assert (REFERENCE / "commands.md").read_text(encoding="utf-8") == commands_page.page(), "run: make crds"


def test_the_page_of_families_is_current() -> None:
    assert (REFERENCE / "families.md").read_text(encoding="utf-8") == families_page.page(), "run: make crds"


def test_a_field_is_told_with_type_limits_default_and_meaning() -> None:
    [row] = [row for row in fields_page.page().splitlines() if row.startswith("| `data.replay.percent` ")]
    assert row.endswith("| whole number; 1 to 50 | `5` | Share of replay tokens in the packed blocks, in percent. |")


def test_a_decimal_is_told_with_its_limits() -> None:
    [row] = [row for row in fields_page.page().splitlines() if row.startswith("| `training.epochs` ")]
    assert '| decimal number more than 0 and at most 100 | `"1"` |' in row


def test_a_part_that_stands_twice_is_told_once() -> None:
    page = fields_page.page()
    assert "Fields as in `stages[*]`." in page
    assert "`stageDefaults.requests`" not in page


@pytest.mark.parametrize("name", ["commands_page", "families_page"])
def test_a_page_about_stages_is_made_without_torch(name: str) -> None:
    code = f"import sys; from hack import {name}; {name}.page(); sys.exit('torch' in sys.modules)"
    paths = ":".join(str(path) for path in (checkout.ROOT, *(root.parent for root in checkout.SOURCE_ROOTS)))
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": paths}, cwd=checkout.ROOT, check=False)
    assert done.returncode == 0
