"""The files of the checkout as the policies see them: what git tracks or would track.

Knows: which files there are and how a Python file is parsed. Refuses to know: any rule.
"""

import ast
import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = (ROOT / "operator" / "modelrefresh", ROOT / "images" / "jobs" / "modelrefresh_jobs")
BINARY = {".png", ".bin", ".safetensors", ".parquet"}


@functools.cache
def files() -> tuple[Path, ...]:
    """Every file that is, or is about to be, part of the project."""
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = (ROOT / name for name in listing.split("\0") if name)
    return tuple(sorted(path for path in paths if path.is_file()))


def python_files() -> tuple[Path, ...]:
    """Every Python file."""
    return tuple(path for path in files() if path.suffix == ".py")


def production_files() -> tuple[Path, ...]:
    """The Python files of the two distributed packages."""
    return tuple(path for path in python_files() if any(path.is_relative_to(root) for root in SOURCE_ROOTS))


def text_files() -> tuple[Path, ...]:
    """Every file that people read."""
    return tuple(path for path in files() if path.suffix not in BINARY)


@functools.cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name(path: Path) -> str:
    """The path as messages say it."""
    return path.relative_to(ROOT).as_posix()
