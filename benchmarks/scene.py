"""What stands on the API server before refreshes come: namespaces with claims, residuals that are ready, targets.

The targets have no replicas, since nothing here runs pods. Everything is written through the
operator's own client, without its limits.
"""

import asyncio
import json
import pathlib
import subprocess
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from hack.cluster import builds
from modelrefresh import errors
from modelrefresh.api import names
from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.residual import ResidualStatus
from modelrefresh.api.status.run import Condition
from modelrefresh.kube import kinds, transport
from modelrefresh.kube.client import Client
from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Document
from modelrefresh.kube.rate_limit import Bucket
from modelrefresh.kube.transport import Transport
from tests import builders
from tests.fakes.cluster import START
from tests.reconcile import world

ROOT = pathlib.Path(__file__).parents[1]
NAMESPACE = Kind(group="", version="v1", plural="namespaces", kind="Namespace", namespaced=False)
CLAIMS = ("workspace", "models", "corpus", "evals")
_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """Namespace and name of one ModelRefresh and of its target."""

    namespace: str
    name: str


async def connect() -> tuple[Transport, Client]:
    """A client without limits; the caller closes the transport."""
    wire = Transport(await transport.configure(), in_flight=_AT_ONCE, seconds=60)
    return wire, Client(wire, fence=lambda: 60.0, bucket=Bucket(rate=100_000, burst=100_000))


def install(kubeconfig: pathlib.Path) -> None:
    """Apply our kinds."""
    kubectl = (str(builds.binary(builds.KUBERNETES, "kubectl")), f"--kubeconfig={kubeconfig}")
    subprocess.run((*kubectl, "apply", "--server-side", "-f", str(ROOT / "crds")), check=True, capture_output=True)
    subprocess.run((*kubectl, "wait", "--for=condition=Established", "crd", "--all"), check=True, capture_output=True)


def places(count: int, *, namespaces: int) -> list[Place]:
    """So many places, dealt out over the namespaces."""
    return [Place(namespace=f"bench-{number % namespaces}", name=f"mref-{number}") for number in range(count)]


async def prepare(client: Client, wanted: Iterable[Place]) -> None:
    """Everything but the refreshes."""
    wanted = sorted(wanted)
    await client.create(kinds.REFRESH_PROFILE, builders.profile())
    spaces = sorted({place.namespace for place in wanted})
    await together(client.create(NAMESPACE, _namespace(space)) for space in spaces)
    await together(client.create(kinds.CLAIM, _claim(space, name)) for space in spaces for name in CLAIMS)
    await together(_residual(client, space) for space in spaces)
    await together(client.create(kinds.DEPLOYMENT, _target(place)) for place in wanted)


def refresh(place: Place) -> Document:
    """The ModelRefresh of a place."""
    edits = {"metadata.namespace": place.namespace, "spec.rollout.deployment.name": place.name}
    return builders.refresh(edits, name=place.name)


async def together(calls: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Make all calls, some at once."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(call: Coroutine[Any, Any, object]) -> None:
        async with gate:
            await call

    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(one(call))


async def suspend(client: Client, place: Place) -> None:
    """A user asks for silence."""
    metadata = {"namespace": place.namespace, "name": place.name}
    envelope = {"apiVersion": names.API_VERSION, "kind": names.REFRESH, "metadata": metadata}
    await client.patch(kinds.MODEL_REFRESH, {**envelope, "spec": {"suspend": True}})


async def ask(client: Client, place: Place, token: str) -> None:
    """A user asks for one more run."""
    metadata = {"namespace": place.namespace, "name": place.name, "annotations": {names.ANNOTATION_REFRESH: token}}
    envelope = {"apiVersion": names.API_VERSION, "kind": names.REFRESH, "metadata": metadata}
    await client.patch(kinds.MODEL_REFRESH, envelope)


async def _residual(client: Client, namespace: str) -> None:
    made = await client.create(kinds.INSTRUCTION_RESIDUAL, builders.residual({"metadata.namespace": namespace}))
    ready = Condition(
        type="Ready", status="True", reason=Reason.SUCCEEDED, message="stored", last_transition_time=START
    )
    known = ResidualStatus(
        digest="e" * 64, base_fingerprint="b" * 64, instruct_fingerprint="a" * 64, conditions=(ready,)
    )
    try:
        await client.put_status(kinds.INSTRUCTION_RESIDUAL, made | {"status": known.render()})
    except errors.ConflictError:
        raise RuntimeError(f"residual in {namespace} was changed by somebody else; nobody else may run here") from None


def _namespace(name: str) -> Document:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _claim(namespace: str, name: str) -> Document:
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def _target(place: Place) -> Document:
    document: Document = json.loads(json.dumps(world.deployment()))
    document["metadata"] |= {"name": place.name, "namespace": place.namespace}
    marks = {"app": place.name}
    document["spec"] |= {"replicas": 0, "selector": {"matchLabels": marks}}
    document["spec"]["template"]["metadata"] = {"labels": marks}
    return document
