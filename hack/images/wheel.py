"""Builds the project's wheel from the checkout, once per state of its sources.

Knows: which files the wheel is made of. Refuses to know: images. The same sources give the same bytes, so that the
image layer that holds the wheel is found again.
"""

import shutil
import sys
from pathlib import Path

from hack.images import cache, progress

SOURCES = ("operator/modelrefresh", "images/jobs/modelrefresh_jobs", "pyproject.toml", "README.md", "LICENSE")


def build() -> Path:
    """Return the wheel of the checkout as it is now."""
    tree = cache.fresh_scratch("wheel")
    for name in SOURCES:
        _copy(cache.CHECKOUT / name, tree / "source" / name)
    kept = cache.IMAGES / "wheels" / cache.digest_of_tree(tree / "source")
    if kept.is_dir():
        return next(kept.glob("*.whl"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(tree / "dist"), "."]
    with progress.step("wheel from the checkout", usually="5 s"):
        progress.run(command, log=cache.LOGS / "wheel.log", cwd=tree / "source")
    shutil.rmtree(kept.parent, ignore_errors=True)
    kept.parent.mkdir(parents=True)
    (tree / "dist").rename(kept)
    return next(kept.glob("*.whl"))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)
