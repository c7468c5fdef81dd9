"""What the demo hands to the seed Job: code and facts in one ConfigMap; the Job makes of them what a checkout makes."""

import datetime as dt
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.demo import manifests, seeding
from examples.seed import atlas, documents, questions, syllabus, world

ANNOTATIONS = 256 * 1024
"""Bytes that an object's annotations may have; `kubectl apply` keeps the whole object in one."""
SOURCES = ("babel", "pycountry", "phonenumbers")
AS_THE_JOB = f"""
import importlib, json, pathlib, sys
sys.modules.update(dict.fromkeys({SOURCES}))
importlib.import_module("examples.seed.__main__")
from examples.seed import atlas, documents, questions, syllabus
learned = syllabus.make(atlas.read(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")), seed=0)
texts = documents.write(learned.old, per_territory=2, seed=0)
print(json.dumps([texts, questions.suites(learned, seed=0)]))
"""


@pytest.fixture(scope="module")
def code() -> dict[str, Any]:
    return seeding.code()


@pytest.mark.parametrize("day", syllabus.DAYS)
def test_the_facts_that_the_job_reads_are_those_of_the_sources_in_their_order(
    code: dict[str, Any], day: dt.date
) -> None:
    handed, made = atlas.read(code["data"][seeding.FACTS])[day], world.on(day)
    assert list(handed) == list(made)
    assert atlas.listed(handed) == atlas.listed(made)


def test_dividing_the_facts_leaves_them_as_they_were() -> None:
    days = atlas.read(world.document(*syllabus.DAYS))
    syllabus.make(days, seed=0)
    assert atlas.write(days) == world.document(*syllabus.DAYS)


def test_the_job_makes_the_same_documents_and_questions_without_the_packages_of_facts(
    code: dict[str, Any], tmp_path: Path
) -> None:
    mounted = tmp_path / "examples" / "seed"
    mounted.mkdir(parents=True)
    for name, text in code["data"].items():
        (mounted / name).write_text(text, encoding="utf-8")
    command = (sys.executable, "-P", "-c", AS_THE_JOB, str(mounted / seeding.FACTS))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    learned = syllabus.make({day: world.on(day) for day in syllabus.DAYS}, seed=0)
    texts = documents.write(learned.old, per_territory=2, seed=0)
    assert json.loads(done.stdout) == [texts, questions.suites(learned, seed=0)]


def test_nothing_but_the_seeds_entry_knows_the_module_that_asks_the_sources(code: dict[str, Any]) -> None:
    assert [name for name, text in code["data"].items() if re.search(r"\bimport\b.*\bworld\b", text)] == ["__main__.py"]


def test_the_jobs_command_names_the_facts_where_the_config_map_is_mounted(code: dict[str, Any]) -> None:
    job = yaml.safe_load((manifests.FOLDER / "demo" / "seed.yaml").read_text(encoding="utf-8"))
    container = job["spec"]["template"]["spec"]["containers"][0]
    named = Path(container["command"][container["command"].index("--facts") + 1])
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert str(named.parent) == mounts["code"]
    assert named.name in code["data"]


def test_code_and_facts_are_small_enough_to_be_applied(code: dict[str, Any]) -> None:
    assert len(json.dumps(json.dumps(code))) < ANNOTATIONS
