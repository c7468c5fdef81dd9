"""Sizes that warn early: files, functions, docstrings. Elegance decides; these only say where to look first."""

import ast
import collections
import statistics
from pathlib import Path

from tests.policy import checkout

FILE_LINES = 300
TEST_FILE_LINES = 400
MEDIAN_LINES = 120
FUNCTION_LINES = 50
DOCSTRING_LINES = 8
FOLDER_MODULES = 15

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_python_file_is_longer_than_the_hard_limit() -> None:
    tests = checkout.ROOT / "tests"
    too_long = {
        checkout.name(path): _lines(path)
        for path in checkout.python_files()
        if _lines(path) > (TEST_FILE_LINES if path.is_relative_to(tests) else FILE_LINES)
    }
    assert too_long == {}


def test_the_median_production_file_fits_two_screens() -> None:
    assert statistics.median(map(_lines, checkout.production_files())) <= MEDIAN_LINES


def test_no_folder_of_what_is_shipped_holds_more_modules_than_one_reads_at_a_glance() -> None:
    modules = collections.Counter(path.parent for path in checkout.production_files() if path.stem != "__init__")
    assert {checkout.name(folder): count for folder, count in modules.items() if count > FOLDER_MODULES} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    too_long = {
        f"{checkout.name(path)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path in checkout.python_files()
        for node in ast.walk(checkout.tree(path))
        if isinstance(node, FUNCTIONS)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= FUNCTION_LINES
    }
    assert too_long == {}


def test_every_module_says_in_a_few_lines_what_it_knows() -> None:
    wrong = {
        checkout.name(path): lines
        for path in checkout.python_files()
        if not 1 <= (lines := _prose(ast.get_docstring(checkout.tree(path)) or "")) <= DOCSTRING_LINES
    }
    assert wrong == {}


def _prose(docstring: str) -> int:
    """Lines that are neither empty nor, being indented, part of a drawing."""
    return sum(bool(line) and not line.startswith(" ") for line in docstring.splitlines())


def test_an_init_file_holds_one_docstring_and_nothing_else() -> None:
    more = [
        checkout.name(path)
        for path in checkout.python_files()
        if path.name == "__init__.py" and len(checkout.tree(path).body) != 1
    ]
    assert more == []
