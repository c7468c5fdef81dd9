"""What the end-to-end tests and the demo may rely on in the running cluster.

Knows one namespace of its own with the strictest pod security, and the operator's image, which has Python. Refuses to
know the operator: if a test here fails, look at the cluster, not at what runs in it.
"""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import facts, settings, storage
from hack.cluster.kubectl import Kubectl
from hack.images import cache

pytestmark = pytest.mark.cluster

_NAMESPACE = "cluster-promises"
_SERVE = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8080)"
_READ = (
    "import time, urllib.request as u\n"
    "for attempt in range(50):\n"
    "    try: print(u.urlopen('http://{host}/greeting', timeout=2).read().decode()); break\n"
    "    except OSError as error: time.sleep(0.2)\n"
    "else: raise SystemExit('no answer')\n"
    "open('/workspace/answer', 'w').write('from a pod')"
)
_UNKNOWN = (
    "import socket, time; begun = time.monotonic()\n"
    "try: socket.getaddrinfo('models.example.org', 443)\n"
    "except socket.gaierror as error: print(error.errno == socket.EAI_NONAME, time.monotonic() - begun < 2)"
)
_UNTIL_WAITING = "import os, time\nwhile not os.path.exists('/workspace/waiting'): time.sleep(0.1)"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kubectl]:
    known = facts.read()
    client = Kubectl(program=known.kubectl, kubeconfig=known.kubeconfig)
    client.run("delete", "namespace", _NAMESPACE, "--ignore-not-found")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE, "labels": labels}})
    yield client
    client.run("delete", "pod", "--all", "--namespace", _NAMESPACE, "--now")
    storage.remove_workspace(_NAMESPACE)
    client.run("delete", "namespace", _NAMESPACE)


@pytest.fixture(scope="module")
def workspace(cluster: Kubectl) -> Path:
    folder = storage.create_workspace(_NAMESPACE)
    if folder is None:
        pytest.skip("the workspace of this cluster is not a folder of this machine")
    (folder / "greeting").write_text("from this machine", encoding="utf-8")
    ports = [{"port": 80, "targetPort": 8080}]
    service = {
        "metadata": {"name": "web", "namespace": _NAMESPACE},
        "spec": {"selector": {"app": "web"}, "ports": ports},
    }
    cluster.apply({"apiVersion": "v1", "kind": "Service", **service}, _pod("web", _SERVE))
    cluster.run("wait", "--namespace", _NAMESPACE, "--for=condition=Ready", "pod/web", "--timeout=180s")
    return folder


def _pod(name: str, script: str, *, gpus: int = 0) -> dict[str, Any]:
    quantity = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    container = {
        "name": "main",
        "image": json.loads(cache.RECORD.read_text(encoding="utf-8"))["operator"],
        "command": ["python", "-u", "-c", script],
        "workingDir": "/workspace",
        "resources": {"limits": quantity},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "workspace", "mountPath": "/workspace"}],
    }
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 5,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "workspace", "persistentVolumeClaim": {"claimName": storage.CLAIM}}],
    }
    metadata = {"name": name, "namespace": _NAMESPACE, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _output(cluster: Kubectl, pod: dict[str, Any]) -> str:
    """Run `pod` to its end and return what it printed."""
    name = f"pod/{pod['metadata']['name']}"
    cluster.apply(pod)
    cluster.run("wait", "--namespace", _NAMESPACE, "--for=jsonpath={.status.phase}=Succeeded", name, "--timeout=180s")
    return cluster.run("logs", "--namespace", _NAMESPACE, name)


def test_a_start_of_what_runs_already_is_quick_and_changes_nothing(cluster: Kubectl) -> None:
    if facts.read().kind != "source":
        pytest.skip("only the cluster from source promises this")
    before, begun = cluster.run("get", "node", "-o", "jsonpath={..uid}"), time.monotonic()
    subprocess.run([sys.executable, "-m", "hack.cluster", "up"], check=True, cwd=settings.GO_SOURCES.parents[2])
    assert time.monotonic() - begun < 3
    assert cluster.run("get", "node", "-o", "jsonpath={..uid}") == before


def test_a_restricted_pod_with_gpus_reads_a_service_by_name_and_writes_the_workspace(
    cluster: Kubectl, workspace: Path
) -> None:
    assert _output(cluster, _pod("reader", _READ.format(host="web"), gpus=4)) == "from this machine\n"
    assert (workspace / "answer").read_text(encoding="utf-8") == "from a pod"


@pytest.mark.usefixtures("workspace")
def test_a_pod_reaches_its_own_service(cluster: Kubectl) -> None:
    read = ["exec", "--namespace", _NAMESPACE, "web", "--", "python", "-c", _READ.format(host=f"web.{_NAMESPACE}")]
    assert cluster.run(*read) == "from this machine\n"


@pytest.mark.usefixtures("workspace")
def test_this_machine_reaches_a_service_by_its_address(cluster: Kubectl) -> None:
    if facts.read().kind != "source":
        pytest.skip("only the cluster from source promises this")
    address = cluster.run("get", "service", "web", "--namespace", _NAMESPACE, "-o", "jsonpath={.spec.clusterIP}")
    with urllib.request.urlopen(f"http://{address}/greeting", timeout=5) as reply:
        assert reply.read() == b"from this machine"


@pytest.mark.usefixtures("workspace")
def test_names_outside_the_cluster_do_not_exist_and_that_is_said_at_once(cluster: Kubectl) -> None:
    assert _output(cluster, _pod("lookup", _UNKNOWN)) == "True True\n"


@pytest.mark.usefixtures("workspace")
def test_a_pod_that_asks_for_more_gpus_than_there_are_waits(cluster: Kubectl) -> None:
    cluster.apply(_pod("greedy", "", gpus=settings.NODE_GPUS + 1))
    unscheduled = "--for=jsonpath={.status.conditions[0].reason}=Unschedulable"
    cluster.run("wait", "--namespace", _NAMESPACE, unscheduled, "pod/greedy", "--timeout=60s")
    assert "Insufficient nvidia.com/gpu" in cluster.run("get", "pod", "greedy", "--namespace", _NAMESPACE, "-o", "json")


@pytest.mark.usefixtures("workspace")
def test_an_evicted_pod_is_asked_to_end_and_may_finish_its_work(cluster: Kubectl, workspace: Path) -> None:
    script = (
        "import signal, time\n"
        "def end(*_): open('/workspace/saved', 'w').write('checkpoint'); raise SystemExit\n"
        "signal.signal(signal.SIGTERM, end); open('/workspace/waiting', 'w'); time.sleep(60)"
    )
    cluster.apply(_pod("evicted", script))
    cluster.run("wait", "--namespace", _NAMESPACE, "--for=condition=Ready", "pod/evicted", "--timeout=180s")
    cluster.run("exec", "--namespace", _NAMESPACE, "evicted", "--", "python", "-c", _UNTIL_WAITING)
    target = {"name": "evicted", "namespace": _NAMESPACE}
    eviction = json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": target})
    path = f"/api/v1/namespaces/{_NAMESPACE}/pods/evicted/eviction"
    cluster.run("create", "--raw", path, "--filename", "-", stdin=eviction)
    cluster.run("wait", "--namespace", _NAMESPACE, "--for=delete", "pod/evicted", "--timeout=60s")
    assert (workspace / "saved").read_text(encoding="utf-8") == "checkpoint"


@pytest.mark.usefixtures("workspace")
def test_the_audit_log_tells_who_asked_for_what(cluster: Kubectl) -> None:
    log = facts.read().audit_log
    if log is None:
        pytest.skip("the audit log of this cluster is not a file of this machine")
    account = f"system:serviceaccount:{_NAMESPACE}:default"
    assert account in cluster.run("auth", "whoami", f"--as={account}")
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").split("\n") if line.endswith("}")]
    assert any(row.get("impersonatedUser", {}).get("username") == account for row in rows)
