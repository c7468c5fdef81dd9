"""A Deployment as the target: how it is observed, held, and pointed at a version.

"Settled" is what `kubectl rollout status` waits for: the controller has seen the newest template, every replica is of
it and available, and none of the old ones is left. Owned by server-side apply are the container's env entry, one
pod-template annotation, two labels, and who holds it, no more: so a Deployment in Git shows no drift and
`kubectl rollout undo` works without the operator.
"""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, Final

from modelrefresh import errors
from modelrefresh.api import names
from modelrefresh.api.conditions import Reason
from modelrefresh.kube import documents, kinds
from modelrefresh.kube.port import Document, Port
from modelrefresh.plan.actions import Hold, Serve
from modelrefresh.plan.observed import Hindrance, Meta, ObservedTarget
from modelrefresh.pods import starting

FIELD: Final = "deployment"
KIND: Final = kinds.DEPLOYMENT
RIGHTS: Final = ("get", "list", "watch", "patch")
_PODS: Final = 250
"""Pods of a Deployment that may say why it is not at rest."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


async def observe(port: Port, namespace: str, name: str, workspace: str) -> ObservedTarget | None:
    """The Deployment; while it is not at rest with what the pods of its newest template say."""
    try:
        document = await port.get(KIND, namespace=namespace, name=name)
    except errors.NotFoundError:
        return None
    newest, pods = _newest(document), list[Document]()
    if newest is not None:
        found = await port.find(kinds.POD, namespace=namespace, selector=newest, limit=_PODS)
        pods = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
    observed = read(document, workspace=workspace, pods=pods)
    return dataclasses.replace(observed, hindrance=await _hindrance(port, document, pods))


async def served(port: Port, namespace: str, most: int) -> list[str | None]:
    """Digest of each Deployment that a refresh has ever rolled; None for one that names none."""
    found = await port.find(KIND, namespace=namespace, selector=names.LABEL_REFRESH, limit=most)
    return [_digest((item["spec"]["template"].get("metadata") or {}).get("annotations") or {}) for item in found]


async def apply(port: Port, action: Hold | Serve, meta: Meta) -> None:
    """Say that a refresh rolls it, by a merge patch that leaves its pods as they are; or point it at a version."""
    if isinstance(action, Hold):
        await port.patch(KIND, hold(action, meta=meta))
    else:
        await port.apply(KIND, serve(action, meta=meta))


def read(document: Document, *, workspace: str, pods: Sequence[Document] = ()) -> ObservedTarget:
    """The Deployment; `workspace` is the claim whose mounts matter, `pods` are those of its newest template."""
    spec, template = document["spec"], document["spec"]["template"]
    containers = template["spec"].get("containers") or []
    waits = _waits(document)
    return ObservedTarget(
        kind=KIND.kind,
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


def hold(action: Hold, *, meta: Meta) -> dict[str, Any]:
    """The merge patch by which a refresh says that it rolls the Deployment; its pods stay as they are."""
    allow = {names.ANNOTATION_ALLOW: action.allow} if action.allow else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": action.name,
            "namespace": meta.namespace,
            "uid": action.uid,
            "resourceVersion": action.version,
            "labels": {names.LABEL_REFRESH: names.short(meta.name)},
            "annotations": _holder(meta) | allow,
        },
    }


def _holder(meta: Meta) -> dict[str, str]:
    return {names.ANNOTATION_HOLDER: meta.name, names.ANNOTATION_HOLDER_UID: meta.uid}


def serve(action: Serve, *, meta: Meta) -> dict[str, Any]:
    """The server-side apply body that points the Deployment at a version."""
    labels = {names.LABEL_REFRESH: names.short(meta.name)}
    container = {"name": action.container, "env": [{"name": names.MODEL_VARIABLE, "value": action.path}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": action.name,
            "namespace": meta.namespace,
            "uid": action.uid,
            "labels": labels,
            "annotations": _holder(meta),
        },
        "spec": {
            "template": {
                "metadata": {
                    "annotations": {names.ANNOTATION_DIGEST: action.digest},
                    "labels": {names.LABEL_VERSION: action.version},
                },
                "spec": {"containers": [container]},
            }
        },
    }


def _newest(document: Document) -> str | None:
    """The label selector of the pods of its newest template; None where there is nothing to learn from them."""
    labels = (document["spec"]["template"].get("metadata") or {}).get("labels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) if labels and _waits(document) else None


async def _hindrance(port: Port, document: Document, pods: Sequence[Document]) -> Hindrance | None:
    """What keeps the newest template from being tried; `pods` are those of that template.

    A pod of it that ran and is not ready speaks for itself, whatever the cluster does with the others.
    """
    name = document["metadata"]["name"]
    if document["spec"].get("paused"):
        text = f'Deployment "{name}" is paused (spec.paused); kubectl rollout resume deployment/{name}'
        return Hindrance(reason=Reason.TARGET_PAUSED, message=text)
    if any(starting.has_run(pod) and not starting.is_ready(pod) for pod in pods):
        return None
    refused = documents.condition(document, "ReplicaFailure")
    if refused is not None:
        text = f'Deployment "{name}" can make no pod: {starting.constant(refused.get("message", ""))}'
        return Hindrance(reason=Reason.TARGET_HINDERED, message=text)
    return await starting.of_pods(port, pods, reason=Reason.TARGET_HINDERED)


def _consent(document: Document) -> dict[str, Any]:
    """Who may change it, by its owner's word, and who does."""
    metadata = document["metadata"]
    annotations = metadata.get("annotations") or {}
    named = (name.strip() for name in str(annotations.get(names.ANNOTATION_ALLOW) or "").split(","))
    holder = annotations.get(names.ANNOTATION_HOLDER_UID) or None
    return {
        "allowed": frozenset(name for name in named if name),
        "holder": holder,
        "holder_name": annotations.get(names.ANNOTATION_HOLDER) if holder else None,
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
        f"{item['type']} is {item['status']}: {starting.constant(item.get('message') or item.get('reason', ''))}"
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
