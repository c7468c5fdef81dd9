"""A workspace for a namespace: the claim that refreshes read from and write to.

On clusters of ours it is a folder of this machine that any user id may write, so that
tests can put data there and look at results; on somebody else's cluster it is a claim
of the default storage class and nothing here can see into it.
"""

import shutil
from pathlib import Path
from typing import Any, Final

from hack.cluster import facts, kubectl

CLAIM: Final = "workspace"
_SIZE: Final = "50Gi"
_CLASS: Final = "modelrefresh-workspace"


def create_workspace(namespace: str) -> Path | None:
    """Create the claim `workspace` in `namespace`, and return its folder if this machine has it."""
    cluster = facts.read()
    client = kubectl.Kubectl(program=cluster.kubectl, kubeconfig=cluster.kubeconfig)
    if cluster.volumes is None:
        client.apply(_claim(namespace, {}))
        return None
    _free_from_a_former_claim(client, _name(namespace))
    folder = cluster.volumes / namespace
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o777)
    client.apply(
        _volume(namespace, folder), _claim(namespace, {"storageClassName": _CLASS, "volumeName": _name(namespace)})
    )
    return folder


def remove_workspace(namespace: str) -> None:
    """Remove the claim with everything in it; no pod may use it any more."""
    cluster = facts.read()
    client = kubectl.Kubectl(program=cluster.kubectl, kubeconfig=cluster.kubeconfig)
    client.run(
        "delete", "persistentvolumeclaim", CLAIM, "--namespace", namespace, "--ignore-not-found", "--timeout=60s"
    )
    if cluster.volumes is not None:
        client.run("delete", "persistentvolume", _name(namespace), "--ignore-not-found", "--timeout=60s")
        shutil.rmtree(cluster.volumes / namespace, ignore_errors=True)


def _free_from_a_former_claim(client: kubectl.Kubectl, name: str) -> None:
    """Remove a volume whose claim went with its namespace: it would wait for that very claim for ever."""
    phase = client.run("get", "persistentvolume", name, "--ignore-not-found", "--output=jsonpath={.status.phase}")
    if phase in {"Released", "Failed"}:
        client.run("delete", "persistentvolume", name)


def _name(namespace: str) -> str:
    return f"{CLAIM}-{namespace}"


def _volume(namespace: str, folder: Path) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": _name(namespace)},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "capacity": {"storage": _SIZE},
            "claimRef": {"namespace": namespace, "name": CLAIM},
            "hostPath": {"path": str(folder), "type": "Directory"},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": _CLASS,
        },
    }


def _claim(namespace: str, extra: dict[str, Any]) -> dict[str, Any]:
    mode = "ReadWriteMany" if extra else "ReadWriteOnce"
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM, "namespace": namespace},
        "spec": {"accessModes": [mode], "resources": {"requests": {"storage": _SIZE}}, **extra},
    }
