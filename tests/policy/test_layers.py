"""The layers hold what they say: each kind of violation, planted, is found."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.policy import checkout

RUFF = str(Path(sys.executable).parent / "ruff")
LINT = str(Path(sys.executable).parent / "lint-imports")


def banned(name: str, text: str) -> str:
    """What the linter says of banned imports of a file of this name and text."""
    command = (RUFF, "check", "--select", "TID251", "--stdin-filename", name, "-")
    return subprocess.run(command, input=text, cwd=checkout.ROOT, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("folder", ["plan", "plan/attempts", "manifests", "api", "contract"])
@pytest.mark.parametrize(
    "text",
    [
        "import datetime\n\nNOW = datetime.datetime.now(datetime.UTC)\n",
        "from datetime import date\n\nDAY = date.today()\n",
        "import time\n",
        "import random\n",
        "from secrets import token_hex\n",
        "import os\n\nHOME = os.environ\n",
        "from pathlib import Path\n\nHERE = Path.cwd()\n",
    ],
)
def test_a_decision_that_sees_clock_chance_or_environment_is_refused(folder: str, text: str) -> None:
    assert "TID251" in banned(f"operator/modelrefresh/{folder}/planted.py", text)


def test_what_is_no_decision_may_see_the_clock() -> None:
    text = "import datetime\n\nNOW = datetime.datetime.now(datetime.UTC)\n"
    assert "TID251" not in banned("operator/modelrefresh/runtime/planted.py", text)


@pytest.mark.parametrize(
    ("package", "name", "text", "contract"),
    [
        ("modelrefresh_jobs", "process/planted", "from modelrefresh import settings", "Jobs know the contract"),
        ("modelrefresh_jobs", "stages/planted", "from modelrefresh_jobs.stages import merge", "No stage knows another"),
        ("modelrefresh_jobs", "storage/planted", "from modelrefresh_jobs.stages import merge", "The worker's folders"),
        ("modelrefresh_jobs", "planted", "VALUE = 1", "The worker's folders"),
        ("modelrefresh", "planted", "VALUE = 1", "Layers"),
        ("modelrefresh", "plan/planted", "from modelrefresh.manifests import job", "Layers"),
        ("modelrefresh", "cluster/planted", "import kopf", "Only the event watcher knows kopf"),
        ("modelrefresh", "contract/planted", "import pydantic", "Both sides' contract"),
    ],
)
def test_an_import_that_leads_where_it_may_not_is_refused(
    tmp_path: Path, package: str, name: str, text: str, contract: str
) -> None:
    for root in checkout.SOURCE_ROOTS:
        shutil.copytree(root, tmp_path / root.name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / package / f"{name}.py").write_text(f"{text}\n")
    command = (LINT, "--no-cache", "--config", str(checkout.ROOT / "pyproject.toml"))
    environment = {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    [line] = [line for line in done.stdout.splitlines() if line.startswith(contract) and re.search("KEPT|BROKEN", line)]
    assert "BROKEN" in line
