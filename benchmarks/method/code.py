"""Digest of the code that decides what a cell finds; comments, docstrings and layout do not count.

With the numbers of the size in question, so that those of another can change.
"""

import ast
import functools
import hashlib
import pathlib

from benchmarks.method import cells

_ROOT = pathlib.Path(__file__).parents[2]
_SEED = ("examples/seed", "benchmarks/method/pairs.py")
_WORKER = "images/jobs/modelrefresh_jobs"
_BY_HAND = "by_hand"
"""The part of the worker that reads a command line; stages are called without it here."""
_REFRESH = ("benchmarks/method/measuring.py", "benchmarks/method/running.py", _WORKER)


def of_pairs(size: str) -> str:
    """Of the making of models, corpora and questions."""
    return _digest(_SEED, size)


def of_cells(size: str) -> str:
    """Of all that is done with them, too."""
    return _digest((*_SEED, *_REFRESH), size)


def _digest(places: tuple[str, ...], size: str) -> str:
    return hashlib.sha256(f"{cells.SIZES[size]}{_sources(places)}".encode()).hexdigest()[:16]


@functools.cache
def _sources(places: tuple[str, ...]) -> str:
    return "".join(_said(file) for place in places for file in _files(_ROOT / place))


def _files(place: pathlib.Path) -> list[pathlib.Path]:
    return (
        [place]
        if place.is_file()
        else [one for one in sorted(place.rglob("*.py")) if _BY_HAND not in one.relative_to(place).parts]
    )


def _said(file: pathlib.Path) -> str:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            # A text that stands alone says something to people only.
            node.body = [one for one in body if not _is_text(one)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
