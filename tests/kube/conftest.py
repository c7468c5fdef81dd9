"""The two ports that the suite of this folder runs against: in memory always, the real one on a cluster.

Each test has a namespace of its own, which is removed afterwards.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from hack.cluster import facts
from modelrefresh import errors
from modelrefresh.kube import kinds, transport
from modelrefresh.kube.client import Client
from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Document, Port
from modelrefresh.kube.rate_limit import Bucket
from tests.fakes.cluster import FakeCluster

NAMESPACE = Kind(group="", version="v1", plural="namespaces", kind="Namespace", namespaced=False)
DEFINITION = Kind(
    group="apiextensions.k8s.io",
    version="v1",
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
    namespaced=False,
)
SAMPLE = Kind(group="port.modelrefresh.test", version="v1", plural="samples", kind="Sample")
"""A custom kind with a status; our own kinds may be in somebody's use on that cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """A port and a namespace to use it in."""

    port: Port
    namespace: str

    def named(self, kind: Kind, name: str, **parts: Any) -> Document:  # noqa: ANN401 -- JSON values
        """A document of this kind in this namespace; `metadata` is merged, other parts are taken over."""
        metadata = {"name": name, "namespace": self.namespace, **parts.pop("metadata", {})}
        return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **parts}


Scenario = Callable[[Arena], Coroutine[None, None, None]]
Stage = Callable[[Scenario], None]


@asynccontextmanager
async def _client() -> AsyncIterator[Port]:
    wire = transport.Transport(await transport.configure(), in_flight=4, seconds=10)
    try:
        yield Client(wire, fence=lambda: 10.0, bucket=Bucket(rate=1000, burst=1000))
    finally:
        await wire.close()


@asynccontextmanager
async def _real() -> AsyncIterator[Arena]:
    name = f"port-{uuid.uuid4().hex[:8]}"
    async with _client() as port:
        created = await port.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        try:
            await _settle(port, name)
            yield Arena(port=port, namespace=name)
        finally:
            await port.delete(NAMESPACE, name=name, uid=created["metadata"]["uid"])


async def _define() -> Document:
    """The sample kind, served."""
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": free, "status": free}}
    version = {"name": SAMPLE.version, "served": True, "storage": True, "subresources": {"status": {}}}
    spec = {
        "group": SAMPLE.group,
        "scope": "Namespaced",
        "names": {"plural": SAMPLE.plural, "kind": SAMPLE.kind},
        "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
    }
    name = f"{SAMPLE.plural}.{SAMPLE.group}"
    document = {"apiVersion": DEFINITION.api_version, "kind": DEFINITION.kind, "metadata": {"name": name}, "spec": spec}
    async with _client() as port:
        defined = await port.apply(DEFINITION, document)
        for _ in range(100):
            try:
                await port.find(SAMPLE)
            except errors.NotFoundError:
                await asyncio.sleep(0.1)
            else:
                return defined
    raise AssertionError(f"{name} is not served 10 s after its definition")


async def _undefine(defined: Document) -> None:
    async with _client() as port:
        await port.delete(DEFINITION, name=defined["metadata"]["name"], uid=defined["metadata"]["uid"])


@pytest.fixture(scope="session")
def sample_kind() -> Iterator[None]:
    """Defines the sample kind on the cluster for the time of the tests."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KUBECONFIG", str(facts.read().kubeconfig))
        defined = asyncio.run(_define())
        yield
        asyncio.run(_undefine(defined))


async def _settle(port: Port, namespace: str) -> None:
    """Pods and Jobs are refused until the namespace's service account is there."""
    account = Kind(group="", version="v1", plural="serviceaccounts", kind="ServiceAccount")
    for _ in range(100):
        try:
            await port.get(account, namespace=namespace, name="default")
        except errors.NotFoundError:
            await asyncio.sleep(0.1)
        else:
            return
    raise AssertionError(f"namespace {namespace}: no default service account after 10 s")


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
def stage(request: pytest.FixtureRequest) -> Stage:
    """Runs a scenario against one of the two ports."""

    async def play(scenario: Scenario) -> None:
        if request.param == "fake":
            await scenario(Arena(port=FakeCluster(), namespace="port-test"))
        else:
            async with _real() as arena:
                await scenario(arena)

    if request.param == "real":
        request.getfixturevalue("sample_kind")
    return lambda scenario: asyncio.run(play(scenario))


def deployment(arena: Arena, name: str = "chat") -> Document:
    """A Deployment as its user writes it; nothing of it ever runs."""
    container = {"name": "server", "image": "example.invalid/server:1", "env": [{"name": "MODE", "value": "chat"}]}
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return arena.named(kinds.DEPLOYMENT, name, spec=spec)


def rollout(arena: Arena, value: str | None, name: str = "chat") -> Document:
    """What the operator applies to a Deployment; None gives every field back."""
    if value is None:
        return arena.named(kinds.DEPLOYMENT, name)
    container = {"name": "server", "env": [{"name": "MODELREFRESH_MODEL", "value": value}]}
    metadata = {"annotations": {"modelrefresh.dev/digest": value}}
    template = {"metadata": metadata, "spec": {"containers": [container]}}
    return arena.named(kinds.DEPLOYMENT, name, spec={"template": template})


def job(arena: Arena, name: str = "train-1", **metadata: Any) -> Document:  # noqa: ANN401 -- JSON values
    """A suspended Job: it has no pods."""
    container = {"name": "stage", "image": "example.invalid/jobs:1"}
    template = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    spec = {"suspend": True, "backoffLimit": 0, "template": template}
    return arena.named(kinds.JOB, name, metadata=metadata, spec=spec)


def sample(arena: Arena, name: str = "one", **metadata: Any) -> Document:  # noqa: ANN401 -- JSON values
    """An object of a custom kind."""
    return arena.named(SAMPLE, name, metadata=metadata, spec={"base": "a", "instruct": "b"})
