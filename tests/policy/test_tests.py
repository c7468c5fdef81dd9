"""What a test owes its reader: a claim, and where it does not run, the reason."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.policy import checkout

CLAIMS = {"raises", "fail", "warns"}
SKIPS = {"skip", "skipif", "importorskip"}


def _test_functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in checkout.python_files():
        if path.name.startswith("test_"):
            for node in ast.walk(checkout.tree(path)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                    yield path, node


def _called(node: ast.AST) -> str:
    match node:
        case ast.Call(func=ast.Attribute(attr=name)) | ast.Call(func=ast.Name(id=name)):
            return name
    return ""


def _claims(node: ast.AST) -> bool:
    return any(
        isinstance(part, ast.Assert) or _called(part) in CLAIMS or _called(part).startswith(("assert_", "_assert"))
        for part in ast.walk(node)
    )


def test_every_test_claims_something() -> None:
    assert [f"{checkout.name(path)}::{node.name}" for path, node in _test_functions() if not _claims(node)] == []


def test_every_test_has_a_name_of_its_own() -> None:
    seen: set[tuple[Path, str]] = set()
    twice = []
    for path, node in _test_functions():
        if (path, node.name) in seen:
            twice.append(f"{checkout.name(path)}::{node.name}")
        seen.add((path, node.name))
    assert twice == []


def test_every_skip_prints_its_reason() -> None:
    silent = [
        f"{checkout.name(path)}:{call.lineno}"
        for path in checkout.python_files()
        for call in ast.walk(checkout.tree(path))
        if isinstance(call, ast.Call) and _called(call) in SKIPS
        if not any(word.arg == "reason" for word in call.keywords) and not (call.args and _called(call) == "skip")
    ]
    assert silent == []
