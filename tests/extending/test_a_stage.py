"""The recipe of docs/extending.md for a stage, followed in a copy of the tree: a file on each side and two rows."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
TOY = pathlib.Path(__file__).parent / "stage"
FILES = {
    "contract.py": "operator/modelrefresh/contract/stages/toy.py",
    "plan.py": "operator/modelrefresh/plan/stages/toy.py",
    "worker.py": "images/jobs/modelrefresh_jobs/stages/toy.py",
}
ROWS = {
    "operator/modelrefresh/contract/vocabulary.py": ('    TRAIN = "train"\n', '    TOY = "toy"\n    TRAIN = "train"\n'),
    "operator/modelrefresh/plan/stages/order.py": ("train.STAGE,", "toy.STAGE, train.STAGE,"),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A copy of both packages with the toy in it."""
    copy = tmp_path_factory.mktemp("tree")
    for package in ("operator/modelrefresh", "images/jobs/modelrefresh_jobs"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, place in FILES.items():
        shutil.copyfile(TOY / name, copy / place)
    for name, (before, after) in ROWS.items():
        text = (copy / name).read_text()
        assert text.count(before) == 1
        (copy / name).write_text(text.replace(before, after))
    order = copy / "operator/modelrefresh/plan/stages/order.py"
    order.write_text(order.read_text().replace("prepare, train\n", "prepare, toy, train\n"))
    return copy


def test_a_new_stage_is_a_file_on_each_side_and_two_rows(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = f"{tree / 'operator'}:{tree / 'images' / 'jobs'}:{ROOT}"
    command, settings = (sys.executable, TOY / "tried.py", tmp_path), os.environ | {"PYTHONPATH": path}
    tried = subprocess.run(command, check=False, env=settings, capture_output=True, text=True)
    assert tried.returncode == 0, tried.stderr
