"""The page about security shows every attack of the suite, and the suite tries every kind of the first audit."""

from hack import attacks_table
from tests.policy import checkout

PAGE = checkout.ROOT / "docs" / "security.md"
KINDS = range(1, 47)
"""The first audit tried so many kinds."""
OTHER = {"test_the_run_among_them_is_promoted"}
"""It attacks nothing: it shows that the attacks did no harm."""


def test_the_table_of_attacks_is_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == attacks_table.page(text), "run: make crds"


def test_every_test_of_the_suite_says_what_it_tries() -> None:
    marked = {one.test for one in attacks_table.tried()} | OTHER
    assert [node.name for _, node in attacks_table.tests() if node.name not in marked] == []


def test_every_kind_of_the_audit_is_tried() -> None:
    covered = {kind for one in attacks_table.tried() for kind in one.kinds}
    assert sorted(set(KINDS) - covered) == []
