"""What the Dockerfiles and the locks promise, read from the files themselves: nothing is built and nothing is fetched.

Knows: the promises that a reader of the files can check. Refuses to know: how the images behave; the end-to-end suite
runs them as an arbitrary user on a read-only root file system.
"""

import json
import re
import tomllib
from pathlib import Path

import pytest

from hack.images import cache, recipe

REQUIREMENT = re.compile(r"^([a-z0-9][a-z0-9._-]*)(\[[a-z,]+\])?==(\S+)", re.MULTILINE)
LOCKS = ("bootstrap", "operator", "jobs", "dev")
EXTRAS = ("operator", "jobs")
# The Kubernetes client wants python-dateutil 3 or newer, the table printer below lm-eval an older one. Each image has
# what it wants; the one environment of the tests has the client's, and an old table printer.
AT_ODDS = {"dataproperty", "pytablewriter", "python-dateutil", "tabledata", "tcolorpy", "typepy"}


def instructions(image: str, name: str) -> list[str]:
    """Return the arguments of one kind of instruction, continued lines joined."""
    text = (cache.CHECKOUT / "images" / image / "Dockerfile").read_text()
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    return [line.split(maxsplit=1)[1] for line in lines if line.startswith(f"{name} ")]


def lock(name: str) -> str:
    """Return the text of one lock."""
    return (cache.CHECKOUT / "requirements" / f"{name}.txt").read_text()


def declared(extra: str) -> set[str]:
    """Return the names of the packages that one extra of the project asks for."""
    project = tomllib.loads((cache.CHECKOUT / "pyproject.toml").read_text())["project"]
    return {re.split(r"[\[<>=~! ]", line)[0].lower() for line in project["optional-dependencies"][extra]}


@pytest.mark.parametrize("image", recipe.IMAGES)
def test_the_base_is_an_argument_with_a_pinned_public_default(image: str) -> None:
    default = next(line for line in instructions(image, "ARG") if line.startswith("BASE="))
    assert re.fullmatch(r"BASE=[a-z]+:\d+\.\d+-[a-z-]+", default)
    assert instructions(image, "FROM") == ["${BASE}"]


@pytest.mark.parametrize("image", recipe.IMAGES)
def test_an_image_runs_as_a_user_without_rights_named_by_number(image: str) -> None:
    assert instructions(image, "USER") == ["65532:65532"]


@pytest.mark.parametrize(("image", "module"), [("operator", "modelrefresh"), ("jobs", "modelrefresh_jobs")])
def test_the_entrypoint_is_the_module_itself_and_no_shell(image: str, module: str) -> None:
    (entrypoint,) = instructions(image, "ENTRYPOINT")
    assert json.loads(entrypoint) == ["python", "-m", module]


@pytest.mark.parametrize("image", recipe.IMAGES)
def test_nothing_is_fetched_around_the_lock(image: str) -> None:
    dockerfile = (cache.CHECKOUT / "images" / image / "Dockerfile").read_text()
    steps = [step.strip() for run in instructions(image, "RUN") for step in run.split(";")]
    installs = [step for step in steps if " install --" in step]
    assert installs
    assert [step for step in installs if "--require-hashes" not in step and "--no-index" not in step] == []
    assert instructions(image, "ADD") == []
    assert "://" not in dockerfile


@pytest.mark.parametrize("image", recipe.IMAGES)
def test_the_wheel_comes_after_the_dependencies_so_that_only_a_thin_layer_changes(image: str) -> None:
    copied = instructions(image, "COPY")
    assert [line.split("/")[0] for line in copied] == ["requirements", "dist"]


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_a_hash(name: str) -> None:
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"^\s*#.*\n", "", lock(name), flags=re.MULTILINE).strip())
    assert entries
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_address(name: str) -> None:
    assert not re.search(r"://|--index-url|--find-links|--trusted-host", lock(name))


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_lock_has_every_package_that_the_project_declares(extra: str) -> None:
    locked = {name for name, _, _ in REQUIREMENT.findall(lock(extra))}
    assert declared(extra) - locked == set()


def test_the_jobs_image_has_no_package_that_is_declared_for_the_demo_alone() -> None:
    locked = {name for name, _, _ in REQUIREMENT.findall(lock("jobs"))}
    assert (declared("demo") - declared("jobs")) & locked == set()


@pytest.mark.parametrize("extra", EXTRAS)
def test_tests_run_with_the_versions_that_are_shipped(extra: str) -> None:
    shipped = {name: version for name, _, version in REQUIREMENT.findall(lock(extra)) if name not in AT_ODDS}
    tested = {name: version for name, _, version in REQUIREMENT.findall(lock("dev"))}
    assert {name: (version, tested.get(name)) for name, version in shipped.items() if tested.get(name) != version} == {}


def test_the_same_files_have_the_same_digest_whatever_their_times(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        (folder / "inner").mkdir(parents=True)
        (folder / "inner" / "file").write_text("content")
    assert cache.digest_of_tree(first) == cache.digest_of_tree(second)


def test_a_moved_file_changes_the_digest(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    before = cache.digest_of_tree(tmp_path)
    (tmp_path / "file").rename(tmp_path / "other")
    assert cache.digest_of_tree(tmp_path) != before


def test_settings_of_the_building_machine_stay_out_of_the_build_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SCRATCH", tmp_path / "scratch")
    monkeypatch.setenv("PIP_INDEX_URL", "address of this machine's mirror")
    wheel = tmp_path / "modelrefresh-1.2.3-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    staged = recipe.stage("operator", wheel=wheel, base="base", settings={})
    inside = [file for file in staged.context.rglob("*") if file.is_file()]
    assert dict(staged.secrets)["registry"].read_text().startswith("export PIP_INDEX_URL='address of this")
    assert [file.name for file in inside if b"this machine's mirror" in file.read_bytes()] == []
