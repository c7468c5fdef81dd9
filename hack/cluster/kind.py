"""A cluster in Docker by kind, for machines that have both.

One node under our name, a registry container beside it as kind's documentation has it,
and the folder of workspaces mounted at its own path, so that the same volumes work as
on a cluster from source. The node pretends GPUs in the same way.
"""

import json
import shutil
import subprocess
from typing import Final

from hack.cluster import facts, failures, kubectl, node, settings, terminal, tools

_NAME: Final = "modelrefresh"
_NODE: Final = f"{_NAME}-control-plane"
_REGISTRY: Final = f"{_NAME}-registry"
_HOSTS: Final = "/etc/containerd/certs.d"
_CLUSTER: Final = {
    "kind": "Cluster",
    "apiVersion": "kind.x-k8s.io/v1alpha4",
    "nodes": [
        {
            "role": "control-plane",
            "extraMounts": [{"hostPath": str(settings.VOLUMES), "containerPath": str(settings.VOLUMES)}],
        },
    ],
    "containerdConfigPatches": [
        f"[plugins.'io.containerd.cri.v1.images'.registry]\n  config_path = '{_HOSTS}'\n",
    ],
}


def possible() -> bool:
    """Say whether a Docker engine answers and kind is there."""
    if not shutil.which("docker") or not shutil.which("kind"):
        return False
    return subprocess.run(["docker", "info"], check=False, capture_output=True).returncode == 0


def up() -> facts.Facts:
    """Start the cluster if it does not run, and tell how it is reached."""
    if not possible():
        raise failures.ClusterError(
            "CLUSTER=kind: needs a Docker engine that answers `docker info` and the kind program on PATH. "
            "Provide both, or choose CLUSTER=source (Linux, root) or CLUSTER=current."
        )
    settings.VOLUMES.mkdir(parents=True, exist_ok=True)
    if _NAME not in _run("kind", "get", "clusters").split():
        with terminal.step("cluster", "starting kind", usually="2 min"):
            _run(
                "kind", "create", "cluster", f"--name={_NAME}", "--config=-", "--wait=120s", stdin=json.dumps(_CLUSTER)
            )
    _run("kind", "export", "kubeconfig", f"--name={_NAME}", f"--kubeconfig={settings.KUBECONFIG}")
    _connect_registry()
    client = kubectl.Kubectl(program=tools.kubectl(), kubeconfig=settings.KUBECONFIG)
    node.pretend_gpus(client, _NODE)
    return facts.Facts(
        kind="kind",
        kubernetes=client.version(),
        kubeconfig=settings.KUBECONFIG,
        kubectl=client.program,
        helm=tools.helm(),
        promtool=tools.promtool(),
        registry=settings.REGISTRY,
        volumes=settings.VOLUMES,
        audit_log=None,
    )


def healthy() -> bool:
    """Say whether the cluster answers."""
    return kubectl.Kubectl(program=tools.kubectl(), kubeconfig=settings.KUBECONFIG).answers()


def down() -> None:
    """Remove the cluster and its registry."""
    if possible():
        _run("kind", "delete", "cluster", f"--name={_NAME}")
        subprocess.run(["docker", "rm", "--force", _REGISTRY], check=False, capture_output=True)
    shutil.rmtree(settings.STATE, ignore_errors=True)


def _connect_registry() -> None:
    """Run the registry on the nodes' network, and tell the node where its short name leads."""
    if _REGISTRY not in _run("docker", "ps", "--format={{.Names}}").split():
        publish = f"127.0.0.1:{settings.REGISTRY_PORT}:5000"
        _run("docker", "run", "--detach", f"--name={_REGISTRY}", f"--publish={publish}", "--network=kind", "registry:3")
    folder = f"{_HOSTS}/{settings.REGISTRY}"
    hosts = f'[host."http://{_REGISTRY}:5000"]\n'
    script = f"mkdir -p {folder} && cat > {folder}/hosts.toml"
    _run("docker", "exec", "--interactive", _NODE, "sh", "-c", script, stdin=hosts)


def _run(*command: str, stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, check=False, capture_output=True, text=True)
    if done.returncode:
        raise failures.ClusterError(f"{' '.join(command)}: ended with {done.returncode}:\n{done.stderr}")
    return done.stdout
