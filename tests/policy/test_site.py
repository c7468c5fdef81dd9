"""The site is strict: what leads nowhere is an error, in docs/ and out of it."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.policy import checkout

DOCS = checkout.ROOT / "docs"
NOWHERE = ("../NONE.md", "../examples/none.yaml", "#none", "../README.md#none")
FLAGS = ("-W", "-n", "--keep-going", "-E", "-q")


def test_planted_links_that_lead_nowhere_are_errors(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    shutil.copy(DOCS / "conf.py", tmp_path / "docs")
    (tmp_path / "README.md").write_text("# Read me\n")
    links = " ".join(f"[away]({link})" for link in NOWHERE)
    (tmp_path / "docs" / "index.md").write_text(f"# Site\n\n{links}\n\n```{{toctree}}\n../README\n```\n")
    command = (sys.executable, "-m", "sphinx", *FLAGS, "-b", "dummy", "-c", "docs", ".", "out")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("[myst.xref_missing]") == len(NOWHERE)


def test_the_site_is_made_with_the_flags_that_were_tried_here() -> None:
    recipe = (checkout.ROOT / "Makefile").read_text(encoding="utf-8").partition("\ndocs:")[2]
    assert f"-m sphinx {' '.join(FLAGS)} " in recipe
