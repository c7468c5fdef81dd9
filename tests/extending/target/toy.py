"""A ConfigMap as the target: `data.model` is the path that somebody may serve, `data.digest` the version."""

from typing import Any, Final

from modelrefresh import errors
from modelrefresh.api import names
from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Document, Port
from modelrefresh.plan.actions import Hold, Serve
from modelrefresh.plan.observed import Meta, ObservedTarget

FIELD: Final = "toy"
KIND: Final = Kind(group="", version="v1", plural="configmaps", kind="ConfigMap")
RIGHTS: Final = ("get", "list", "watch", "patch")


async def observe(port: Port, namespace: str, name: str, _workspace: str) -> ObservedTarget | None:
    """Settled at once: nothing runs."""
    try:
        document = await port.get(KIND, namespace=namespace, name=name)
    except errors.NotFoundError:
        return None
    metadata, data = document["metadata"], document.get("data") or {}
    annotations = metadata.get("annotations") or {}
    return ObservedTarget(
        kind=KIND.kind,
        name=name,
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        containers=("toy",),
        mounts={"toy": "/models"},
        models={"toy": data["model"]} if "model" in data else {},
        digest=data.get("digest"),
        allowed=frozenset(annotations.get(names.ANNOTATION_ALLOW, "").split(",")),
        holder=annotations.get(names.ANNOTATION_HOLDER_UID),
        holder_name=annotations.get(names.ANNOTATION_HOLDER),
        settled=True,
    )


async def served(port: Port, namespace: str, most: int) -> list[str | None]:
    """What each of them names."""
    found = await port.find(KIND, namespace=namespace, selector=names.LABEL_REFRESH, limit=most)
    return [(item.get("data") or {}).get("digest") for item in found]


async def apply(port: Port, action: Hold | Serve, meta: Meta) -> None:
    """Both are merge patches."""
    holder = {names.ANNOTATION_HOLDER: meta.name, names.ANNOTATION_HOLDER_UID: meta.uid}
    metadata: dict[str, Any] = {"name": action.name, "namespace": meta.namespace, "uid": action.uid}
    body: Document = {"apiVersion": "v1", "kind": KIND.kind, "metadata": metadata}
    if isinstance(action, Hold):
        metadata |= {"annotations": holder, "labels": {names.LABEL_REFRESH: names.short(meta.name)}}
    else:
        body["data"] = {"model": action.path, "digest": action.digest}
    await port.patch(KIND, body)
