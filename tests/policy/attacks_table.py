"""The table of attacks in docs/security.md, from the marks of the tests that try them.

`python -m tests.policy.attacks_table docs/security.md` writes it between its two marks (part of
`make crds`); a test holds the committed page to the code.
"""

import importlib
import pathlib
import sys
from collections.abc import Iterator
from typing import Final

from tests.attacks import catalogue

BEGIN: Final = "<!-- attacks: written by make crds -->\n"
END: Final = "<!-- end of attacks -->\n"
_FOLDER: Final = pathlib.Path(catalogue.__file__).parent


def tests() -> Iterator[tuple[str, str]]:
    """Module and name of every test of the suite."""
    for path in sorted(_FOLDER.glob("test_*.py")):
        names = vars(importlib.import_module(f"tests.attacks.{path.stem}"))
        yield from ((path.stem, name) for name in names if name.startswith("test_"))


def tried() -> Iterator[tuple[str, str, catalogue.Attack]]:
    """Module, test and attack of every mark, in the order of files and lines."""
    for module, name in tests():
        test = getattr(importlib.import_module(f"tests.attacks.{module}"), name)
        yield from ((module, name, mark.args[0]) for mark in getattr(test, "pytestmark", ()) if mark.name == "attack")


def page(text: str) -> str:
    """The page with the table as it is now."""
    head, _, rest = text.partition(BEGIN)
    tail = rest.partition(END)[2]
    return f"{head}{BEGIN}{_table()}{END}{tail}"


def _table() -> str:
    rows = [
        f"| {', '.join(map(str, one.kinds))} | {one.does} | {one.by} | {one.ends} | `{module}` |"
        for module, _, one in sorted(tried(), key=lambda item: (not item[2].kinds, item[2].kinds, item[0], item[1]))
    ]
    return "\n".join(
        ["| audit | what is tried | by whom | how it ends | test file |", "|---|---|---|---|---|", *rows, ""]
    )


if __name__ == "__main__":
    _TARGET = pathlib.Path(sys.argv[1])
    _TARGET.write_text(page(_TARGET.read_text(encoding="utf-8")), encoding="utf-8")
