"""The page of rules is what the code says."""

import pathlib

from hack import rules_page

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "rules.md"


def test_the_page_of_rules_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == rules_page.page(), "run: make crds"
