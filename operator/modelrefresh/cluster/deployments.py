"""The target Deployment, as the API shows it, to `ObservedDeployment`.

"Settled" is what `kubectl rollout status` waits for: the controller has seen the newest
template, every replica is of it and available, and none of the old ones is left.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelrefresh.api import names
from modelrefresh.cluster import hindrances
from modelrefresh.plan.observed import ObservedDeployment

Document = Mapping[str, Any]
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def read(document: Document, *, workspace: str, pods: Sequence[Document] = ()) -> ObservedDeployment:
    """The Deployment; `workspace` is the claim whose mounts matter, `pods` are those of its newest template."""
    spec, template = document["spec"], document["spec"]["template"]
    containers = template["spec"].get("containers") or []
    waits = _waits(document)
    return ObservedDeployment(
        name=document["metadata"]["name"],
        uid=document["metadata"]["uid"],
        containers=tuple(container["name"] for container in containers),
        mounts={name: paths[-1] for name, paths in _mounts(template["spec"], workspace=workspace).items() if paths},
        models=_models(containers),
        dangling=_dangling(template["spec"]),
        version=document["metadata"].get("resourceVersion", ""),
        **_consent(document),
        digest=_digest((template.get("metadata") or {}).get("annotations") or {}),
        settled=waits is None,
        observed=_is_observed(document),
        replicas=spec.get("replicas", 1),
        ready_seconds=spec.get("minReadySeconds", 0),
        message="; ".join((waits, *_conditions(document), *_crashes(pods))) if waits else "",
    )


def newest(document: Document) -> str | None:
    """The label selector of the pods of its newest template; None where there is nothing to learn from them."""
    labels = (document["spec"]["template"].get("metadata") or {}).get("labels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) if labels and _waits(document) else None


def _consent(document: Document) -> dict[str, Any]:
    """Who may change it, by its owner's word, and who does."""
    metadata = document["metadata"]
    annotations = metadata.get("annotations") or {}
    named = (name.strip() for name in str(annotations.get(names.ANNOTATION_ALLOW) or "").split(","))
    holder = annotations.get(names.ANNOTATION_HOLDER_UID) or None
    return {
        "allowed": frozenset(name for name in named if name),
        "holder": holder,
        "labelled": None if holder else (metadata.get("labels") or {}).get(names.LABEL_REFRESH),
    }


def _digest(annotations: Document) -> str | None:
    """Our annotation; anybody may edit it and it becomes part of a path, so what is no digest counts as absent."""
    text = annotations.get(names.ANNOTATION_DIGEST) or ""
    return text if _DIGEST.fullmatch(text) else None


def _models(containers: Sequence[Document]) -> dict[str, str]:
    """Container name to what it is told to load, where that is told at all.

    An entry that is empty tells nothing: that is what stays when another owner of its name has taken its value away.
    """
    told = {
        container["name"]: item.get("value") or _source(item)
        for container in containers
        for item in container.get("env") or ()
        if item["name"] == names.MODEL_VARIABLE
    }
    return {name: value for name, value in told.items() if value}


def _source(item: Document) -> str:
    """Where a value comes from that does not stand there."""
    return ", ".join(f"valueFrom.{kind}" for kind in item.get("valueFrom") or ())


def _mounts(pod: Document, *, workspace: str | None = None) -> dict[str, tuple[str, ...]]:
    """Container name to the paths where it mounts that claim, or any at None, as a whole."""
    claims = {
        volume["name"]: volume["persistentVolumeClaim"].get("claimName")
        for volume in pod.get("volumes") or ()
        if volume.get("persistentVolumeClaim")
    }
    volumes = {name for name, claim in claims.items() if workspace is None or claim == workspace}
    return {
        container["name"]: tuple(
            mount["mountPath"].rstrip("/")
            for mount in container.get("volumeMounts") or ()
            if mount["name"] in volumes and not mount.get("subPath") and not mount.get("subPathExpr")
        )
        for container in pod.get("containers") or ()
    }


def _dangling(pod: Document) -> frozenset[str]:
    mounts, models = _mounts(pod), _models(pod.get("containers") or ())
    lost = (name for name, told in models.items() if not any(told.startswith(f"{path}/") for path in mounts[name]))
    return frozenset(lost)


def _waits(document: Document) -> str | None:
    """What is still missing, or None."""
    state, wanted = document.get("status") or {}, document["spec"].get("replicas", 1)
    if not _is_observed(document):
        return "the Deployment controller has not seen the newest template yet"
    updated, available = state.get("updatedReplicas", 0), state.get("availableReplicas", 0)
    if updated < wanted:
        return f"{updated} of {wanted} replicas are updated"
    if state.get("replicas", 0) > updated:
        return f"{state['replicas'] - updated} old replicas are left"
    if available < wanted:
        return f"{available} of {wanted} replicas are available"
    return None


def _is_observed(document: Document) -> bool:
    state = document.get("status") or {}
    return bool(state.get("observedGeneration", 0) >= document["metadata"].get("generation", 1))


def _conditions(document: Document) -> list[str]:
    """What its controller complains of."""
    state = document.get("status") or {}
    bad = {"Progressing": "False", "Available": "False", "ReplicaFailure": "True"}
    return [
        f"{item['type']} is {item['status']}: {hindrances.constant(item.get('message') or item.get('reason', ''))}"
        for item in state.get("conditions") or ()
        if bad.get(item.get("type", "")) == item.get("status")
    ]


def _crashes(pods: Sequence[Document]) -> list[str]:
    """How containers of these pods ended last; how often they did is left out, since each new text is a write."""
    ends = [
        (pod, status["name"], end)
        for pod in pods
        for status in pod.get("status", {}).get("containerStatuses") or ()
        for state in (status.get("state") or {}, status.get("lastState") or {})
        if (end := state.get("terminated"))
    ]
    return [
        f"container {name} of pod {pod['metadata']['name']} ended with exit code {end.get('exitCode')} "
        f"({end.get('reason', '')})"
        for pod, name, end in ends[:1]
    ]
