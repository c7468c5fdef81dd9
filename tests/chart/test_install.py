"""The chart on a real cluster, for one namespace that enforces `restricted`: it comes up, leads, fails over, goes."""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from hack.cluster import facts
from hack.images import cache
from tests.chart import render

pytestmark = pytest.mark.cluster
NAMESPACE = "chart-install"
RELEASE = "once"
NAME = f"{RELEASE}-modelrefresh"
PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One release and the programs to look at it with."""

    kubectl: tuple[str, ...]
    helm: tuple[str, ...]
    said: str
    """What `helm install` printed."""

    def read(self, *arguments: str) -> Any:  # noqa: ANN401 -- whatever kubectl answers
        """The JSON that `kubectl get` prints."""
        return json.loads(_run(*self.kubectl, "get", "-o", "json", *arguments).stdout)

    def holder(self) -> str:
        """The pod that holds the Lease."""
        return str(self.read("lease", NAME)["spec"]["holderIdentity"]).partition("_")[0]

    def pods(self) -> list[dict[str, Any]]:
        """The operator's pods that are not going away."""
        pods = self.read("pods", "-l", f"app.kubernetes.io/instance={RELEASE}")["items"]
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}{done.stdout}"
    return done


def _assert_soon(holds: Any, what: str) -> None:  # noqa: ANN401 -- any call
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {what}"
        time.sleep(1)


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    cluster = facts.read()
    kubectl = (str(cluster.kubectl), f"--kubeconfig={cluster.kubeconfig}")
    helm = (str(cluster.helm), f"--kubeconfig={cluster.kubeconfig}", f"--namespace={NAMESPACE}")
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    subprocess.run((*kubectl, "apply", "-f", "-"), input=json.dumps(space), text=True, check=True)
    built = json.loads(cache.RECORD.read_text())
    name, _, digest = built["operator"].partition("@")
    registry, _, repository = name.partition("/")
    image = {"registry": registry, "repository": repository, "digest": digest}
    profile = {
        "create": True,
        "name": NAMESPACE,
        "image": built["jobs"],
        "spec": {**render.USABLE, "limits": {"nodes": 2}},
    }
    chosen = {"image": image, "watchNamespaces": [NAMESPACE], "crds": {"enabled": False}, "profile": profile}
    values = json.dumps(chosen)
    _run(*kubectl, "apply", "--server-side", "--force-conflicts", "-f", str(render.ROOT / "crds"))
    try:
        install = (*helm, "install", RELEASE, str(render.CHART), "--wait", "--timeout=180s", "--values=-")
        done = subprocess.run(install, input=values, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        yield Installed(kubectl=(*kubectl, f"--namespace={NAMESPACE}"), helm=helm, said=done.stdout + done.stderr)
    finally:
        subprocess.run((*helm, "uninstall", RELEASE, "--ignore-not-found", "--wait"), check=False)
        subprocess.run((*kubectl, "delete", "refreshprofile", NAMESPACE, "--ignore-not-found"), check=False)
        subprocess.run((*kubectl, "delete", "namespace", NAMESPACE, "--timeout=120s"), check=False)


@pytest.mark.parametrize("name", render.MATRIX)
def test_the_api_server_takes_every_object_of_every_value_set(installed: Installed, name: str) -> None:
    foreign = {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
    objects = [document for document in render.objects(render.MATRIX[name]) if document["kind"] not in foreign]
    inside = [
        d | {"metadata": d["metadata"] | {"namespace": NAMESPACE}} if "namespace" in d["metadata"] else d
        for d in objects
    ]
    command = (*installed.kubectl[:-1], "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-")
    items = json.dumps({"apiVersion": "v1", "kind": "List", "items": inside})
    done = subprocess.run(command, input=items, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert len(done.stdout.splitlines()) == len(objects)


def test_pod_security_has_nothing_to_say(installed: Installed) -> None:
    assert "violate" not in installed.said
    assert "deployed" in installed.said


def test_both_replicas_become_ready_without_a_restart(installed: Installed) -> None:
    pods = installed.pods()
    assert [pod["status"]["containerStatuses"][0]["ready"] for pod in pods] == [True, True]
    assert [pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods] == [0, 0]


def test_the_granted_rights_are_enough(installed: Installed) -> None:
    lines = "".join(_run(*installed.kubectl, "logs", pod["metadata"]["name"]).stdout for pod in installed.pods())
    assert "stands by" in lines or "leads" in lines
    assert "permission is missing" not in lines
    assert "Forbidden" not in lines


def test_the_metrics_of_both_replicas_name_one_leader(installed: Installed) -> None:
    page = "/proxy/metrics"
    leading = []
    for pod in installed.pods():
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:8080{page}"
        lines = _run(*installed.kubectl, "get", "--raw", path).stdout.splitlines()
        leading += [line for line in lines if line.startswith("modelrefresh_leader ")]
    assert sorted(leading) == ["modelrefresh_leader 0.0", "modelrefresh_leader 1.0"]


def test_the_profile_comes_with_the_release(installed: Installed) -> None:
    spec = installed.read("refreshprofile", NAMESPACE)["spec"]
    assert "@sha256:" in spec["image"]
    assert spec["limits"]["nodes"] == 2


def test_another_replica_takes_over_when_the_leader_goes(installed: Installed) -> None:
    first = installed.holder()
    _run(*installed.kubectl, "delete", "pod", first, "--wait=false")
    _assert_soon(lambda: installed.holder() not in {first, ""}, "another pod holds the Lease")
    _assert_soon(lambda: len(installed.pods()) == 2, "two replicas again")


def test_an_upgrade_with_other_settings_rolls_without_a_gap(installed: Installed) -> None:
    upgrade = ("upgrade", RELEASE, str(render.CHART), "--reuse-values", "--set", "logging.level=DEBUG")
    _run(*installed.helm, *upgrade, "--wait", "--timeout=180s")
    status = installed.read("deployment", NAME)["status"]
    assert status["availableReplicas"] == 2
    assert status["updatedReplicas"] == 2
