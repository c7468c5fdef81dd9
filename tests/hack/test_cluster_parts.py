"""What the throw-away cluster promises without being started: its files, its records, its way to be rid of things.

Knows no cluster; the promises of a running one are tested beside this file.
"""

import hashlib
import json
import os
import tarfile
import time
from pathlib import Path

import pytest

from hack.cluster import __main__ as command
from hack.cluster import archive, builds, cgroups, facts, failures, kind, processes, rubbish, settings, source


def _facts(folder: Path) -> facts.Facts:
    return facts.Facts(
        kind="source",
        kubernetes="v1.36.3",
        kubeconfig=folder / "kubeconfig",
        kubectl=folder / "kubectl",
        helm=folder / "helm",
        promtool=None,
        registry="localhost:5000",
        volumes=folder / "volumes",
        audit_log=None,
    )


def test_facts_are_read_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "_FILE", tmp_path / "cluster.json")
    facts.write(_facts(tmp_path))
    assert facts.read() == _facts(tmp_path)


def test_without_a_cluster_the_facts_say_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "_FILE", tmp_path / "cluster.json")
    with pytest.raises(failures.ClusterError, match="make cluster"):
        facts.read()


def test_auto_never_takes_the_current_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLUSTER", raising=False)
    monkeypatch.setattr(kind, "possible", lambda: False)
    monkeypatch.setattr(source, "possible", lambda: False)
    with pytest.raises(failures.ClusterError, match="CLUSTER=current"):
        command.chosen()


@pytest.mark.parametrize(("docker", "expected"), [(True, "kind"), (False, "source")])
def test_auto_prefers_kind_where_docker_is(monkeypatch: pytest.MonkeyPatch, *, docker: bool, expected: str) -> None:
    monkeypatch.delenv("CLUSTER", raising=False)
    monkeypatch.setattr(kind, "possible", lambda: docker)
    monkeypatch.setattr(source, "possible", lambda: True)
    assert command.chosen() == expected


def test_an_unknown_choice_is_refused_with_the_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER", "minikube")
    with pytest.raises(failures.ClusterError, match="CLUSTER=minikube: expected one of auto, source, kind, current"):
        command.chosen()


def test_an_image_names_its_parts_by_their_hash(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"static")
    archive.write(tmp_path / "image.tar", program, image="localhost/program:1")
    with tarfile.open(tmp_path / "image.tar") as tar:
        contents = {name: tar.extractfile(name) for name in tar.getnames()}
        blobs = {name: file.read() for name, file in contents.items() if file}
    [manifest] = json.loads(blobs["index.json"])["manifests"]
    parts = json.loads(blobs["blobs/" + manifest["digest"].replace(":", "/")])
    for part in (manifest, parts["config"], *parts["layers"]):
        blob = blobs["blobs/" + part["digest"].replace(":", "/")]
        assert part["digest"] == f"sha256:{hashlib.sha256(blob).hexdigest()}"
        assert part["size"] == len(blob)


def test_the_same_program_gives_the_same_image(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"static")
    for name in ("first", "second"):
        archive.write(tmp_path / name, program, image="localhost/program:1")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_pid_that_went_to_another_process_is_not_the_daemon(tmp_path: Path) -> None:
    daemon = processes.Daemon(name="gone", command=["true"], folder=tmp_path)
    daemon.record.parent.mkdir()
    daemon.record.write_text(f"{os.getpid()} {processes.boot()}:1", encoding="utf-8")
    assert processes.pid(daemon) is None


@pytest.mark.parametrize("record", ["", "12", "12 -"])
def test_a_record_cut_short_means_no_daemon(tmp_path: Path, record: str) -> None:
    daemon = processes.Daemon(name="cut", command=["true"], folder=tmp_path)
    daemon.record.parent.mkdir()
    daemon.record.write_text(record, encoding="utf-8")
    assert processes.pid(daemon) is None


def test_a_discarded_folder_is_gone_at_once_and_deleted_soon(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "file").touch()
    rubbish.discard(folder)
    assert not folder.exists()
    deadline = time.monotonic() + 20
    while list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []


def test_what_an_interrupted_deletion_left_is_deleted_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".rubbish-left").mkdir()
    rubbish.discard(tmp_path / "never-there")
    deadline = time.monotonic() + 20
    while list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_the_one_the_module_file_pins() -> None:
    text = (settings.GO_SOURCES / "kubernetes" / "go.mod").read_text(encoding="utf-8")
    assert f"k8s.io/kubernetes {builds.kubernetes_version()}\n" in text


@pytest.mark.parametrize("program", builds.ALL, ids=lambda program: program.name)
def test_every_program_has_its_modules_and_their_checksums_pinned(program: builds.Program) -> None:
    module = (settings.GO_SOURCES / program.name / "go.mod").read_text(encoding="utf-8")
    checksums = settings.GO_SOURCES / program.name / "go.sum"
    assert checksums.exists() == ("require" in module)


def test_a_daemon_outlives_the_call_that_started_it_and_is_known_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "entrance", lambda group: tmp_path / group)
    daemon = processes.Daemon(name="sleeper", command=["sh", "-c", "echo awake; exec sleep 60"], folder=tmp_path)
    processes.start(daemon)
    processes.wait(daemon, lambda: "awake" in processes.tail(daemon.log), seconds=10)
    assert processes.pid(daemon) is not None
    processes.stop(daemon)
    assert processes.pid(daemon) is None


def test_a_daemon_that_ends_by_itself_is_reported_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "entrance", lambda group: tmp_path / group)
    daemon = processes.Daemon(name="failing", command=["sh", "-c", "echo no such disk; exit 3"], folder=tmp_path)
    processes.start(daemon)
    with pytest.raises(failures.ClusterError, match=r"failing: ended by itself[^$]*no such disk"):
        processes.wait(daemon, lambda: False, seconds=10)
