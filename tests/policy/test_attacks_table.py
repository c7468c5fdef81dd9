"""The page about security shows every attack that the suite tries, and the suite tries every kind of the audit."""

from tests.policy import attacks_table, checkout

PAGE = checkout.ROOT / "docs" / "security.md"


def test_the_table_of_attacks_is_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == attacks_table.page(text), "run: make crds"


def test_every_test_of_the_suite_says_what_it_tries() -> None:
    marked = {(module, name) for module, name, _ in attacks_table.tried()}
    assert [test for test in attacks_table.tests() if test not in marked] == []
