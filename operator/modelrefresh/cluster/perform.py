"""Actions to API calls, in the plan's order. Every one of them may be performed twice.

A create that finds the name taken is done if the object is ours, and an error that names
the stranger otherwise.
"""

import datetime
from collections.abc import Mapping
from typing import Any

from modelrefresh import errors
from modelrefresh.api import names
from modelrefresh.api.spec import ProfileSpec
from modelrefresh.cluster import kinds
from modelrefresh.cluster.kinds import Kind
from modelrefresh.cluster.port import Document, Port
from modelrefresh.manifests import job, serving, version
from modelrefresh.plan import actions
from modelrefresh.plan.observed import Meta, ResidualObserved, Seen


async def perform(
    port: Port, action: actions.Action, seen: Seen | ResidualObserved, document: Document, *, now: datetime.datetime
) -> None:
    """Do one action; `document` is the freshest state of the observed object."""
    meta, kind = seen.meta, document["kind"]
    match action:
        case actions.AddFinalizer():
            await _finalize(port, document, add=True)
        case actions.RemoveFinalizer():
            await _finalize(port, document, add=False)
        case actions.StartStage():
            assert seen.profile is not None  # noqa: S101 -- no stage starts without a profile
            await _start(port, action, seen.profile, meta=meta, kind=kind)
        case actions.StopJob(name=name, uid=uid):
            await port.delete(kinds.JOB, namespace=meta.namespace, name=name, uid=uid)
        case actions.DropVersion(name=name, uid=uid):
            await port.delete(kinds.MODEL_VERSION, namespace=meta.namespace, name=name, uid=uid)
        case actions.SealVersion():
            assert isinstance(seen, Seen)  # noqa: S101 -- only a refresh has versions
            await _create(port, kinds.MODEL_VERSION, version.build(action, seen), owner=meta.uid)
        case actions.MarkServed(name=name, deployment=deployment):
            await _mark(port, name, deployment, meta=meta, now=now)
        case actions.Serve():
            await port.apply(kinds.DEPLOYMENT, serving.build(action, meta=meta))


async def _start(port: Port, start: actions.StartStage, profile: ProfileSpec, *, meta: Meta, kind: str) -> None:
    if start.nodes > 1:
        await _create(port, kinds.SERVICE, job.service(start, meta=meta, kind=kind), owner=meta.uid)
    await _create(port, kinds.JOB, job.build(start, profile, meta=meta, kind=kind), owner=meta.uid)


async def _create(port: Port, kind: Kind, body: Document, *, owner: str) -> None:
    try:
        await port.create(kind, body)
    except errors.ConflictError:
        found = await port.get(kind, namespace=body["metadata"]["namespace"], name=body["metadata"]["name"])
        if not _is_ours(found, owner):
            raise errors.InvalidError(
                f"{kind.kind} {body['metadata']['namespace']}/{body['metadata']['name']} exists and belongs to "
                "somebody else; rename or delete it"
            ) from None


async def _finalize(port: Port, document: Document, *, add: bool) -> None:
    metadata = document["metadata"]
    kept = [item for item in metadata.get("finalizers") or () if item != names.FINALIZER]
    await port.patch(
        kinds.OF[document["kind"]],
        {
            "apiVersion": names.API_VERSION,
            "kind": document["kind"],
            "metadata": {
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "resourceVersion": metadata["resourceVersion"],
                "finalizers": [*kept, names.FINALIZER] if add else kept,
            },
        },
    )


async def _mark(port: Port, name: str, deployment: str | None, *, meta: Meta, now: datetime.datetime) -> None:
    try:
        found = await port.get(kinds.MODEL_VERSION, namespace=meta.namespace, name=name)
    except errors.NotFoundError:
        return
    await port.put_status(kinds.MODEL_VERSION, found | {"status": version.served(deployment, now=now)})


def _is_ours(document: Mapping[str, Any], owner: str) -> bool:
    return any(reference.get("uid") == owner for reference in document["metadata"].get("ownerReferences") or ())
