"""The table of attacks in docs/security.md, read off the marks of the tests that try them.

`python -m hack.attacks_table docs/security.md` writes it between its two marks (part of
`make crds`); a test holds the committed page to the code. Reads the source and imports no test:
a mark says its words as plain texts, or by the name of a constant of its file.
"""

import ast
import pathlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tests.policy import checkout

BEGIN: Final = "<!-- attacks: written by make crds -->\n"
END: Final = "<!-- end of attacks -->\n"
_FILES: Final = ("tests/attacks/test_*.py", "tests/e2e/test_attacked.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One mark of one test."""

    file: str
    test: str
    kinds: tuple[int, ...]
    does: str
    by: str
    ends: str


def tests() -> Iterator[tuple[pathlib.Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every test of the suite."""
    for pattern in _FILES:
        for path in sorted(checkout.ROOT.glob(pattern)):
            for node in checkout.tree(path).body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                    yield path, node


def tried() -> Iterator[Tried]:
    """Every mark, in the order of files and lines."""
    for path, node in tests():
        constants = dict(_constants(path))
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "attack":
                words = {str(word.arg): str(_value(word.value, constants)) for word in mark.keywords}
                kinds = tuple(int(str(_value(kind, constants))) for kind in mark.args)
                yield Tried(file=path.stem, test=node.name, kinds=kinds, **words)


def page(text: str) -> str:
    """The page with the table as it is now."""
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}{_table()}{END}{rest.partition(END)[2]}"


def _table() -> str:
    ordered = sorted(tried(), key=lambda one: (not one.kinds, one.kinds, one.file, one.test))
    rows = [
        f"| {', '.join(map(str, one.kinds))} | {one.does} | {one.by} | {one.ends} | `{one.file}` |" for one in ordered
    ]
    head = ["| audit | what is tried | by whom | how it ends | test file |", "|---|---|---|---|---|"]
    return "\n".join([*head, *dict.fromkeys(rows), ""])


def _constants(path: pathlib.Path) -> Iterator[tuple[str, object]]:
    for node in checkout.tree(path).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant):
            yield target.id, value.value


def _value(node: ast.expr, constants: Mapping[str, object]) -> object:
    return constants[node.id] if isinstance(node, ast.Name) else ast.literal_eval(node)


if __name__ == "__main__":
    _TARGET = pathlib.Path(sys.argv[1])
    _TARGET.write_text(page(_TARGET.read_text(encoding="utf-8")), encoding="utf-8")
