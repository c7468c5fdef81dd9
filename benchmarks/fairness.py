"""How long one tenant waits for the first word on a new object while another does its worst.

Situations in one run, each with its own newcomers in a quiet namespace: nobody else; 300 refreshes of a hostile
namespace that name one Deployment; 1,000 forged Jobs and pods beside them; and a flood of /metrics on top. API server,
store, operator, flood and this program share the machine.
"""

import asyncio
import contextlib
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from benchmarks import apiserver, process, scene, tables, watching
from benchmarks.scene import Place
from modelrefresh.api import names
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from modelrefresh.kube.client import Client
from modelrefresh.kube.port import Document
from tests import builders

_HOSTILE, _QUIET = "bench-0", "bench-1"
_RIVALS, _FORGED, _FLOOD, _NEWCOMERS = 300, 1000, 16, 25
_SETTLE_SECONDS = 20.0
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """What the newcomers of one situation met."""

    situation: str
    delays: Sequence[float]
    """Seconds from asking for an object to its first status, one object after the other."""

    @property
    def median(self) -> float:
        """Half of them waited less."""
        return statistics.median(self.delays)

    @property
    def late(self) -> float:
        """Nineteen of twenty waited less."""
        return sorted(self.delays)[int(0.95 * len(self.delays))]


def run() -> list[Reaction]:
    """All situations, on an API server of their own."""
    with tempfile.TemporaryDirectory(prefix="modelrefresh-bench-") as name, apiserver.running() as kubeconfig:
        os.environ["KUBECONFIG"] = str(kubeconfig)
        scene.install(kubeconfig)
        return asyncio.run(_situations(kubeconfig, log=pathlib.Path(name) / "operator.log"))


def render(found: Sequence[Reaction]) -> str:
    """The table; the ratios are to the first situation of the same run."""
    alone = found[0]
    rows = [
        [
            one.situation, f"{one.median:.2f} s", f"{one.late:.2f} s",
            f"{one.median / alone.median:.1f}", f"{one.late / alone.late:.1f}",
        ]
        for one in found
    ]  # fmt: skip
    head = ["situation", "median", "p95", "median / alone", "p95 / alone"]
    return f"{len(alone.delays)} new objects each.\n\n{tables.table(head, rows)}"


async def _situations(kubeconfig: pathlib.Path, *, log: pathlib.Path) -> list[Reaction]:
    wire, client = await scene.connect()
    try:
        shared = Place(namespace=_HOSTILE, name="shared")
        newcomers = [Place(namespace=_QUIET, name=f"new-{number}") for number in range(4 * _NEWCOMERS)]
        await scene.prepare(client, [shared, *newcomers])
        started = process.running(kubeconfig, namespace=_QUIET, rate=50, log=log)
        operator = await asyncio.to_thread(started.__enter__)
        try:
            async with _watching() as seen:
                parts = [newcomers[start : start + _NEWCOMERS] for start in range(0, len(newcomers), _NEWCOMERS)]
                found = [await _react(client, seen, "alone", parts[0])]
                owner = await _crowd(client, shared)
                found.append(await _react(client, seen, f"{_RIVALS} refreshes of one Deployment", parts[1]))
                await _forge(client, owner)
                found.append(await _react(client, seen, f"and {_FORGED} forged Jobs and pods", parts[2]))
                async with _flooded(operator.port):
                    found.append(await _react(client, seen, f"and {_FLOOD} readers of /metrics", parts[3]))
                return found
        finally:
            await asyncio.to_thread(started.__exit__, None, None, None)
    finally:
        await wire.close()


async def _react(client: Client, seen: dict[str, float], situation: str, places: Sequence[Place]) -> Reaction:
    delays = []
    for place in places:
        asked = time.monotonic()
        await client.create(kinds.MODEL_REFRESH, scene.refresh(place))
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while place.name not in seen:  # noqa: ASYNC110 -- filled by the watch, to the millisecond
                await asyncio.sleep(0.005)
        delays.append(seen[place.name] - asked)
        await asyncio.sleep(0.3)
    return Reaction(situation=situation, delays=delays)


async def _crowd(client: Client, shared: Place) -> Document:
    """Refreshes that name one Deployment, and a profile that is not there; gives one of them."""
    edits = {
        "metadata.namespace": shared.namespace,
        "spec.rollout.deployment.name": shared.name,
        "spec.profile": "nowhere",
    }
    rivals = [builders.refresh(edits, name=f"rival-{number}") for number in range(_RIVALS)]
    await scene.together(client.create(kinds.MODEL_REFRESH, rival) for rival in rivals)
    await asyncio.sleep(_SETTLE_SECONDS)
    return await client.get(kinds.MODEL_REFRESH, namespace=shared.namespace, name="rival-0")


async def _forge(client: Client, owner: Document) -> None:
    """Jobs and pods that wear the labels of one refresh and name it as their controller; pods that say nothing."""
    uid = owner["metadata"]["uid"]
    reference = {"apiVersion": names.API_VERSION, "kind": names.REFRESH, "name": "rival-0", "uid": uid}
    await scene.together(
        client.create(kind, _forged(kind.kind, number, uid, reference | {"controller": True}))
        for kind in (kinds.JOB, kinds.POD)
        for number in range(_FORGED)
    )
    await asyncio.sleep(_SETTLE_SECONDS)


def _forged(kind: str, number: int, uid: str, reference: dict[str, Any]) -> Document:
    container = {"name": "stage", "image": "none"}
    marks = {
        names.LABEL_OWNER_UID: uid,
        names.LABEL_RUN: "r1",
        names.LABEL_STAGE: Stage.TRAIN.value,
        names.LABEL_ATTEMPT: str(number),
    }
    metadata = {"name": f"forged-{number}", "namespace": _HOSTILE, "labels": marks, "ownerReferences": [reference]}
    pod: Document = {"restartPolicy": "Never", "containers": [container]}
    spec = pod if kind == "Pod" else {"suspend": True, "template": {"metadata": {"labels": marks}, "spec": pod}}
    return {"apiVersion": "v1" if kind == "Pod" else "batch/v1", "kind": kind, "metadata": metadata, "spec": spec}


@contextlib.asynccontextmanager
async def _watching() -> AsyncIterator[dict[str, float]]:
    """When each refresh had its first status."""
    seen: dict[str, float] = {}

    async def watch() -> None:
        async for document in watching.changes(kinds.MODEL_REFRESH):
            if document.get("status", {}).get("phase"):
                seen.setdefault(document["metadata"]["name"], time.monotonic())

    task = asyncio.create_task(watch())
    await asyncio.sleep(1)
    try:
        yield seen
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def _flooded(port: int) -> AsyncIterator[None]:
    async def read(session: aiohttp.ClientSession) -> None:
        while True:
            async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                await answer.read()

    async with aiohttp.ClientSession() as session:
        readers = [asyncio.create_task(read(session)) for _ in range(_FLOOD)]
        try:
            yield
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
