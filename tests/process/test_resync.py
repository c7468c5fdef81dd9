"""What a resync puts on the queue and when the process counts as ready."""

import asyncio

import pytest

from modelrefresh import errors
from modelrefresh.cluster import kinds
from modelrefresh.cluster.kinds import Kind
from modelrefresh.cluster.queue import Key, WorkQueue
from modelrefresh.cluster.resync import Resync
from modelrefresh.cluster.routes import Routes
from tests.fakes.cluster import FakeCluster
from tests.process.clocks import Clock


def resync(
    cluster: FakeCluster, queue: WorkQueue, *, namespaces: tuple[str, ...] = (), clock: Clock | None = None
) -> Resync:
    """A resync of this cluster."""
    return Resync(cluster, queue=queue, known=Routes(), namespaces=namespaces, clock=clock or Clock())


def cluster_with(*names: str, kind: Kind = kinds.MODEL_REFRESH) -> FakeCluster:
    """A cluster with these objects, each `namespace/name`."""
    cluster = FakeCluster()
    for name in names:
        namespace, _, last = name.partition("/")
        cluster.add(kind, {"metadata": {"namespace": namespace, "name": last}, "spec": {}})
    return cluster


def queued(queue: WorkQueue) -> list[str]:
    """What is due, as `namespace/name`."""
    found: list[Key] = []
    while (key := queue.poll()) is not None:
        found.append(key)
    return [f"{key.namespace}/{key.name}" for key in found]


def test_every_refresh_of_every_page_is_looked_at() -> None:
    queue = WorkQueue()
    asyncio.run(resync(cluster_with("a/1", "a/2", "a/3", "b/4", "b/5"), queue).once())
    assert queued(queue) == ["a/1", "a/2", "a/3", "b/4", "b/5"]


def test_only_the_served_namespaces_are_listed() -> None:
    queue = WorkQueue()
    asyncio.run(resync(cluster_with("a/1", "b/2", "c/3"), queue, namespaces=("a", "c")).once())
    assert queued(queue) == ["a/1", "c/3"]


def test_the_age_counts_from_the_last_complete_listing() -> None:
    clock = Clock()
    listing = resync(FakeCluster(), WorkQueue(), clock=clock)
    assert listing.age() is None
    asyncio.run(listing.once())
    clock.at += 7
    assert listing.age() == pytest.approx(7)


def test_one_kind_that_cannot_be_read_leaves_the_process_unready() -> None:
    cluster = FakeCluster()

    def refuse(_: str, kind: Kind, __: str) -> None:
        if kind == kinds.JOB:
            raise errors.ForbiddenError("list Job: 403")

    cluster.before_read = refuse
    listing = resync(cluster, WorkQueue())
    with pytest.raises(errors.ForbiddenError):
        asyncio.run(listing.once())
    assert listing.age() is None


def test_a_new_leader_lists_at_once() -> None:
    async def scenario() -> int:
        cluster = cluster_with("a/1")
        queue = WorkQueue()
        listing = resync(cluster, queue)
        running = asyncio.create_task(listing.run(period=3600))
        await asyncio.sleep(0.02)
        first = len(queued(queue))
        for key in (Key(kind="ModelRefresh", namespace="a", name="1"),):
            queue.done(key)
        listing.soon()
        await asyncio.sleep(0.02)
        running.cancel()
        return first + len(queued(queue))

    assert asyncio.run(scenario()) == 2
