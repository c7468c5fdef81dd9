"""A scanner of code finds nothing in the two packages; the rules that are left out stand in pyproject.toml with why."""

import subprocess
import sys
from pathlib import Path

from tests.policy import checkout

_BANDIT = (
    sys.executable,
    "-m",
    "bandit",
    "--quiet",
    "--configfile",
    str(checkout.ROOT / "pyproject.toml"),
    "--recursive",
)


def _scanned(*paths: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*_BANDIT, *map(str, paths)], capture_output=True, text=True, check=False)


def test_bandit_finds_nothing_in_the_packages() -> None:
    found = _scanned(*checkout.SOURCE_ROOTS)
    assert found.returncode == 0, found.stdout


def test_bandit_finds_what_is_planted(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("import yaml\n\nyaml.load(open('x'), Loader=yaml.Loader)\n")
    assert "yaml_load" in _scanned(tmp_path).stdout
