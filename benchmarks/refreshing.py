"""The operator against a real API server with many ModelRefresh objects: memory, delay, rates, requests.

Phases: all objects come at once and get their first Job; all wait for their Jobs; single objects
come to an operator that has all the others; every run goes on to its end and once more, or is
suspended; rest. API server, store, operator and this program share the machine.
"""

import asyncio
import contextlib
import os
import pathlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks import apiserver, process, scene, watching
from benchmarks.playing import Player
from benchmarks.process import Operator, Reading
from benchmarks.scene import Place
from modelrefresh.api import names
from modelrefresh.kube import kinds
from modelrefresh.kube.client import Client
from modelrefresh.kube.port import Document

_AGAIN = "again"
_LIMIT_SECONDS = 600.0
_SETTLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One run of the benchmark."""

    objects: int
    namespaces: int
    rate: int
    """Writes per second that the operator allows itself."""
    finish: bool = True
    """Whether runs are brought to their end; else they are suspended."""
    brief: bool = False
    """Only the arrival."""
    rest_seconds: float = 60.0
    probes: int = 30
    """Single objects that come while all the others wait."""


@dataclass(slots=True, kw_only=True)
class Figures:
    """What one run found; None where a phase was left out."""

    load: Load
    arrival: Reading
    delays: Sequence[float]
    """Seconds from asking for an object to its first Job, all at once."""
    arrival_seconds: float
    probes: Sequence[float] = ()
    """The same, one at a time."""
    waiting: Reading | None = None
    first: Reading | None = None
    """From the first Job on to the promoted version."""
    later: Reading | None = None
    """One more refresh of each object, from the annotation to the promoted version."""
    later_seconds: float = 0.0
    rest: Reading | None = None


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What the watches have shown so far."""

    jobs: dict[Place, float] = field(default_factory=dict)
    """When each refresh's first Job appeared."""
    phases: dict[Place, tuple[str, str]] = field(default_factory=dict)
    """Phase and last handled token of each refresh."""
    open_jobs: dict[str, Document] = field(default_factory=dict)
    player: Player | None = None
    plays: set[asyncio.Task[None]] = field(default_factory=set)

    def play(self, call: Coroutine[Any, Any, None]) -> None:
        """Let the player work beside the watch."""
        task = asyncio.create_task(call)
        self.plays.add(task)
        task.add_done_callback(self.plays.discard)

    def count(self, places: Collection[Place], phase: str, token: str) -> int:
        """How many of these refreshes have come so far."""
        return sum(self.phases.get(place) == (phase, token) for place in places)


def run(load: Load) -> Figures:
    """One run, on an API server of its own."""
    with tempfile.TemporaryDirectory(prefix="modelrefresh-bench-") as name, apiserver.running() as kubeconfig:
        os.environ["KUBECONFIG"] = str(kubeconfig)
        scene.install(kubeconfig)
        return asyncio.run(_phases(load, kubeconfig, log=pathlib.Path(name) / "operator.log"))


async def _phases(load: Load, kubeconfig: pathlib.Path, *, log: pathlib.Path) -> Figures:
    wire, client = await scene.connect()
    everyone = scene.places(load.objects, namespaces=load.namespaces)
    late = [
        Place(namespace=f"bench-{number % load.namespaces}", name=f"late-{number}") for number in range(load.probes)
    ]
    try:
        await scene.prepare(client, [*everyone, *late])
        # The operator starts in a thread: waiting for it must not stop this loop.
        started = process.running(kubeconfig, namespace=everyone[0].namespace, rate=load.rate, log=log)
        operator = await asyncio.to_thread(started.__enter__)
        try:
            async with _watching() as seen:
                return await _measure(load, client, operator, seen, (everyone, late))
        finally:
            await asyncio.to_thread(started.__exit__, None, None, None)
    finally:
        await wire.close()


async def _measure(
    load: Load, client: Client, operator: Operator, seen: _Seen, places: tuple[list[Place], list[Place]]
) -> Figures:
    everyone, late = places
    figures = await _arrive(load, client, operator, seen, everyone)
    if load.brief:
        return figures
    figures.waiting = await _rest(operator, load.rest_seconds, "every run waits for its first Job")
    figures.probes = [await _probe(client, seen, place) for place in late]
    wanted = [*everyone, *late]
    if load.finish:
        await _finish(client, operator, seen, wanted, figures)
    else:
        await scene.together(scene.suspend(client, place) for place in wanted)
        await _reach(seen, wanted, "Suspended", "")
    await _quiet(operator)
    figures.rest = await _rest(operator, load.rest_seconds, "no run is open")
    return figures


async def _finish(client: Client, operator: Operator, seen: _Seen, wanted: Sequence[Place], figures: Figures) -> None:
    before = operator.read()
    seen.player = Player(client)
    for job in list(seen.open_jobs.values()):
        seen.play(seen.player.finish(job))
    await _reach(seen, wanted, "Promoted", "")
    await asyncio.sleep(_SETTLE_SECONDS)
    between, started = operator.read(), time.monotonic()
    await scene.together(scene.ask(client, place, _AGAIN) for place in wanted)
    await _reach(seen, wanted, "Promoted", _AGAIN)
    figures.later_seconds = time.monotonic() - started
    await asyncio.sleep(_SETTLE_SECONDS)
    figures.first, figures.later = process.spent(before, between), process.spent(between, operator.read())


async def _reach(seen: _Seen, wanted: Sequence[Place], phase: str, token: str) -> None:
    await _until(
        lambda: seen.count(wanted, phase, token) >= len(wanted),
        lambda: f"{seen.count(wanted, phase, token)} of {len(wanted)} are {phase}",
    )


async def _arrive(load: Load, client: Client, operator: Operator, seen: _Seen, everyone: Sequence[Place]) -> Figures:
    asked: dict[Place, float] = {}

    async def create(place: Place) -> None:
        asked[place] = time.monotonic()
        await client.create(kinds.MODEL_REFRESH, scene.refresh(place))

    before, started = operator.read(), time.monotonic()
    await scene.together(create(place) for place in everyone)
    say(f"{len(everyone)} objects created in {time.monotonic() - started:.1f} s")
    await _until(lambda: len(seen.jobs) >= len(everyone), lambda: f"{len(seen.jobs)} of {len(everyone)} have a Job")
    taken = max(seen.jobs.values()) - started
    await asyncio.sleep(_SETTLE_SECONDS)
    return Figures(
        load=load,
        arrival=process.spent(before, operator.read()),
        delays=[seen.jobs[place] - asked[place] for place in everyone],
        arrival_seconds=taken,
    )


async def _probe(client: Client, seen: _Seen, place: Place) -> float:
    started = time.monotonic()
    await client.create(kinds.MODEL_REFRESH, scene.refresh(place))
    await _until(lambda: place in seen.jobs, lambda: f"{place.name} has no Job", period=0.001)
    delay = seen.jobs[place] - started
    await asyncio.sleep(0.25)
    return delay


async def _quiet(operator: Operator) -> None:
    """Wait until the last passes over what has just happened are made."""
    for _ in range(int(_LIMIT_SECONDS / _SETTLE_SECONDS)):
        before = operator.read().passes
        await asyncio.sleep(_SETTLE_SECONDS)
        if operator.read().passes == before:
            return
    raise RuntimeError(f"the operator is still making passes after {_LIMIT_SECONDS:.0f} s")


async def _rest(operator: Operator, seconds: float, what: str) -> Reading:
    say(f"resting for {seconds:.0f} s: {what}")
    before = operator.read()
    await asyncio.sleep(seconds)
    return process.spent(before, operator.read())


@contextlib.asynccontextmanager
async def _watching() -> AsyncIterator[_Seen]:
    seen = _Seen()
    tasks = [asyncio.create_task(follow(seen)) for follow in (_follow_jobs, _follow_targets, _follow_refreshes)]
    await asyncio.sleep(1)
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def _follow_jobs(seen: _Seen) -> None:
    async for job in watching.changes(kinds.JOB):
        metadata = job["metadata"]
        place = Place(namespace=metadata["namespace"], name=metadata["annotations"][names.ANNOTATION_OWNER])
        seen.jobs.setdefault(place, time.monotonic())
        document = {"apiVersion": kinds.JOB.api_version, "kind": kinds.JOB.kind, **job}
        seen.open_jobs[metadata["uid"]] = document
        if seen.player is not None:
            seen.play(seen.player.finish(document))


async def _follow_targets(seen: _Seen) -> None:
    async for target in watching.changes(kinds.DEPLOYMENT):
        if seen.player is not None:
            kind = {"apiVersion": kinds.DEPLOYMENT.api_version, "kind": kinds.DEPLOYMENT.kind}
            seen.play(seen.player.settle({**kind, **target}))


async def _follow_refreshes(seen: _Seen) -> None:
    async for document in watching.changes(kinds.MODEL_REFRESH):
        metadata, status = document["metadata"], document.get("status", {})
        place = Place(namespace=metadata["namespace"], name=metadata["name"])
        seen.phases[place] = (status.get("phase", ""), status.get("lastHandledRefresh", ""))


async def _until(holds: Callable[[], bool], what: Callable[[], str], *, period: float = 0.02) -> None:
    started = told = time.monotonic()
    while not holds():
        now = time.monotonic()
        if now - started > _LIMIT_SECONDS:
            raise RuntimeError(f"not done within {_LIMIT_SECONDS:.0f} s: {what()}")
        if now - told > 10:
            told = now
            say(what())
        await asyncio.sleep(period)


def say(text: str) -> None:
    """A line for whoever waits."""
    print(f"bench: {text}", flush=True)
