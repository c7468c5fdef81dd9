"""Actions to API calls, in the plan's order. Every one of them may be performed twice.

A create that finds the name taken is done if the object is ours, and an error that names
the stranger otherwise.
"""

import dataclasses
import datetime
import secrets
from typing import Any

from modelrefresh import errors
from modelrefresh.api import names
from modelrefresh.kube import documents, kinds
from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Document, Port
from modelrefresh.manifests import job, pod, version
from modelrefresh.manifests.network import Network, policies
from modelrefresh.plan import actions
from modelrefresh.plan.observed import Meta, Observed, ObservedRefresh
from modelrefresh.targets import table


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What every action of a pass is performed upon."""

    observed: Observed[Any]
    document: Document
    """The freshest state of the observed object."""
    network: Network | None = None
    """What NetworkPolicies of stages say; None for none."""
    now: datetime.datetime


async def perform(port: Port, action: actions.Action, scene: Scene) -> None:
    """Do one action."""
    meta = scene.observed.meta
    match action:
        case actions.AddFinalizer():
            await _finalize(port, scene.document, add=True)
        case actions.RemoveFinalizer():
            await _finalize(port, scene.document, add=False)
        case actions.StartStage():
            await _start(port, action, scene)
        case actions.StopJob(name=name, uid=uid):
            await port.delete(kinds.JOB, namespace=meta.namespace, name=name, uid=uid)
        case actions.Hold(kind=kind) | actions.Serve(kind=kind):
            await table.of(kind).apply(port, action, meta)
        case actions.SealVersion() | actions.MarkServed() | actions.DropVersion():
            await _of_version(port, action, scene)


async def _of_version(
    port: Port, action: actions.SealVersion | actions.MarkServed | actions.DropVersion, scene: Scene
) -> None:
    meta = scene.observed.meta
    match action:
        case actions.SealVersion():
            assert isinstance(scene.observed, ObservedRefresh)  # noqa: S101 -- only a refresh has versions
            await _create(port, kinds.MODEL_VERSION, version.build(action, scene.observed), owner=meta.uid)
        case actions.MarkServed(name=name, target=target):
            await _mark(port, name, target, meta=meta, now=scene.now)
        case actions.DropVersion(name=name, uid=uid):
            await port.delete(kinds.MODEL_VERSION, namespace=meta.namespace, name=name, uid=uid)


async def _start(port: Port, start: actions.StartStage, scene: Scene) -> None:
    """The Job, after what it needs: policies before the first pod, a Service before nodes look for each other."""
    meta, kind, profile = scene.observed.meta, scene.document["kind"], scene.observed.profile
    assert profile is not None  # noqa: S101 -- no stage starts without a profile
    if scene.network is not None:
        for policy in policies(scene.network, meta=meta, kind=kind, hub=pod.reads_hub(start.request)):
            await _ensure(port, kinds.NETWORK_POLICY, policy, owner=meta.uid)
    if start.nodes > 1:
        await _create(port, kinds.SERVICE, job.service(start, meta=meta, kind=kind), owner=meta.uid)
    body = job.build(start, profile, meta=meta, kind=kind, nonce=secrets.token_hex(16))
    await _create(port, kinds.JOB, body, owner=meta.uid)


async def _ensure(port: Port, kind: Kind, body: Document, *, owner: str) -> None:
    """Create what each start of a stage wants and the first has made."""
    try:
        await port.get(kind, namespace=body["metadata"]["namespace"], name=body["metadata"]["name"])
    except errors.NotFoundError:
        await _create(port, kind, body, owner=owner)


async def _create(port: Port, kind: Kind, body: Document, *, owner: str) -> None:
    try:
        await port.create(kind, body)
    except errors.ConflictError:
        found = await port.get(kind, namespace=body["metadata"]["namespace"], name=body["metadata"]["name"])
        if not documents.belongs_to(found, owner):
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


async def _mark(port: Port, name: str, target: str | None, *, meta: Meta, now: datetime.datetime) -> None:
    try:
        found = await port.get(kinds.MODEL_VERSION, namespace=meta.namespace, name=name)
    except errors.NotFoundError:
        return
    await port.put_status(kinds.MODEL_VERSION, found | {"status": version.served(target, now=now)})
