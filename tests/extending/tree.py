"""A copy of both packages in which a recipe is followed, and a script that is run in it."""

import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Mapping

ROOT = pathlib.Path(__file__).parents[2]
PACKAGES = ("operator/modelrefresh", "images/jobs/modelrefresh_jobs")


def extended(copy: pathlib.Path, files: Mapping[str, str], rows: Mapping[str, Mapping[str, str]]) -> pathlib.Path:
    """The copy with these files of `tests/extending` at their places, and these texts replaced; each stands once."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, place in files.items():
        shutil.copyfile(pathlib.Path(__file__).parent / name, copy / place)
    for name, changes in rows.items():
        text = (copy / name).read_text()
        for before, after in changes.items():
            assert text.count(before) == 1, f"{name}: {before!r}"
            text = text.replace(before, after)
        (copy / name).write_text(text)
    return copy


def fault_of(tree: pathlib.Path, script: str, *words: pathlib.Path) -> str:
    """What a script of `tests/extending` says if it fails with the packages of this tree; empty if it does not."""
    path = ":".join([*(str((tree / package).parent) for package in PACKAGES), str(ROOT)])
    command = (sys.executable, pathlib.Path(__file__).parent / script, *words)
    settings = os.environ | {"PYTHONPATH": path}
    ran = subprocess.run(command, check=False, env=settings, capture_output=True, text=True)
    return ran.stderr or "it failed without a word" if ran.returncode else ""
