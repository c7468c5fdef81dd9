"""The target Deployment, as the API shows it, to `DeploymentSeen`.

"Settled" is what `kubectl rollout status` waits for: the controller has seen the newest
template, every replica is of it and available, and none of the old ones is left.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelrefresh.api import names
from modelrefresh.plan.observed import DeploymentSeen

Document = Mapping[str, Any]
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def read(document: Document, *, workspace: str) -> DeploymentSeen:
    """The Deployment; `workspace` is the claim whose mounts matter."""
    template = document["spec"]["template"]
    containers = template["spec"].get("containers") or []
    waits = _waits(document)
    return DeploymentSeen(
        name=document["metadata"]["name"],
        uid=document["metadata"]["uid"],
        containers=tuple(container["name"] for container in containers),
        mounts=_mounts(template["spec"], workspace=workspace),
        models=_models(containers),
        dangling=frozenset(container["name"] for container in containers if _is_dangling(container)),
        digest=_digest((template.get("metadata") or {}).get("annotations") or {}),
        settled=waits is None,
        message=waits or "",
    )


def _digest(annotations: Document) -> str | None:
    """Our annotation; anybody may edit it and it becomes part of a path, so what is no digest counts as absent."""
    text = annotations.get(names.ANNOTATION_DIGEST) or ""
    return text if _DIGEST.fullmatch(text) else None


def _models(containers: Sequence[Document]) -> dict[str, str]:
    """Container name to what it is told to load, where that is told at all."""
    return {
        container["name"]: item.get("value") or ""
        for container in containers
        for item in container.get("env") or ()
        if item["name"] == names.MODEL_VARIABLE
    }


def _is_dangling(container: Document) -> bool:
    told = _models([container]).get(container["name"])
    mounts = (mount["mountPath"].rstrip("/") for mount in container.get("volumeMounts") or ())
    return told is not None and not any(told.startswith(f"{mount}/") for mount in mounts)


def _mounts(pod: Document, *, workspace: str) -> dict[str, str]:
    """Container name to the path where it mounts the whole workspace claim."""
    volumes = {
        volume["name"]
        for volume in pod.get("volumes") or ()
        if (volume.get("persistentVolumeClaim") or {}).get("claimName") == workspace
    }
    return {
        container["name"]: mount["mountPath"]
        for container in pod.get("containers") or ()
        for mount in container.get("volumeMounts") or ()
        if mount["name"] in volumes and not mount.get("subPath") and not mount.get("subPathExpr")
    }


def _waits(document: Document) -> str | None:
    """What is still missing, or None."""
    state, wanted = document.get("status") or {}, document["spec"].get("replicas", 1)
    if state.get("observedGeneration", 0) < document["metadata"].get("generation", 1):
        return "the Deployment controller has not seen the newest template yet"
    updated, available = state.get("updatedReplicas", 0), state.get("availableReplicas", 0)
    if updated < wanted:
        return f"{updated} of {wanted} replicas are updated"
    if state.get("replicas", 0) > updated:
        return f"{state['replicas'] - updated} old replicas are left"
    if available < wanted:
        return f"{available} of {wanted} replicas are available"
    return None
