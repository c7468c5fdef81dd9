"""What a resync puts on the queue and when the process counts as ready."""

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest

from modelrefresh import errors, metrics
from modelrefresh.kube import kinds
from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Document
from modelrefresh.runtime import resync as listing_module
from modelrefresh.runtime.queue import Key, WorkQueue
from modelrefresh.runtime.resync import Resync
from modelrefresh.runtime.watch_index import Routes
from tests.fakes.cluster import FakeCluster
from tests.runtime.clocks import Clock


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    metrics.RESYNC_REFUSED.clear()
    yield
    metrics.RESYNC_REFUSED.clear()


def resync(
    cluster: FakeCluster, queue: WorkQueue, *, namespaces: tuple[str, ...] = (), clock: Clock | None = None
) -> Resync:
    """A resync of this cluster."""
    return Resync(cluster, queue=queue, known=Routes(), namespaces=namespaces, clock=clock or Clock())


def play(listing: Resync, *changes: Callable[[], object]) -> None:
    """List everything, and again after each of these changes; the cluster in memory answers within one turn."""

    async def scenario() -> None:
        running = asyncio.create_task(listing.run(period=3600))
        await asyncio.sleep(0)
        for change in changes:
            change()
            listing.soon()
            await asyncio.sleep(0)
        running.cancel()

    asyncio.run(scenario())


def cluster_with(*names: str, kind: Kind = kinds.MODEL_REFRESH) -> FakeCluster:
    """A cluster with these objects, each `namespace/name`."""
    cluster = FakeCluster()
    for name in names:
        namespace, _, last = name.partition("/")
        cluster.add(kind, {"metadata": {"namespace": namespace, "name": last}, "spec": {}})
    return cluster


class Losing(FakeCluster):
    """A cluster that refuses whatever is asked of some namespaces."""

    def __init__(self, *names: str) -> None:
        """Hold these refreshes, each `namespace/name`; lose nothing yet."""
        super().__init__()
        self.lost: dict[str, errors.ApiError] = {}
        for name in names:
            namespace, _, last = name.partition("/")
            self.add(kinds.MODEL_REFRESH, {"metadata": {"namespace": namespace, "name": last}, "spec": {}})

    async def find(
        self, kind: Kind, *, namespace: str | None = None, selector: str = "", fields: str = "", limit: int = 0
    ) -> list[Document]:
        """Refuse, or answer."""
        if namespace in self.lost:
            raise self.lost[namespace]
        return await super().find(kind, namespace=namespace, selector=selector, fields=fields, limit=limit)


def refusing(refused_kind: Kind) -> Callable[[str, Kind, str], None]:
    """A reader's hook that refuses one kind."""

    def refuse(_: str, kind: Kind, __: str) -> None:
        if kind == refused_kind:
            raise errors.ForbiddenError(f"list {kind.kind}: 403")

    return refuse


def refused(namespace: str) -> float | None:
    """What the metric says of ModelRefreshes in a namespace."""
    labels = {"kind": "ModelRefresh", "namespace": namespace}
    return metrics.REGISTRY.get_sample_value("modelrefresh_resync_refused", labels)


def queued(queue: WorkQueue) -> list[str]:
    """What is due, as `namespace/name`."""
    found: list[Key] = []
    while (key := queue.poll()) is not None:
        found.append(key)
    return [f"{key.namespace}/{key.name}" for key in found]


def test_every_refresh_of_every_page_is_looked_at() -> None:
    queue = WorkQueue()
    play(resync(cluster_with("a/1", "a/2", "a/3", "b/4", "b/5"), queue))
    assert sorted(queued(queue)) == ["a/1", "a/2", "a/3", "b/4", "b/5"]


def test_only_the_served_namespaces_are_listed() -> None:
    queue = WorkQueue()
    play(resync(cluster_with("a/1", "b/2", "c/3"), queue, namespaces=("a", "c")))
    assert queued(queue) == ["a/1", "c/3"]


def test_the_age_counts_from_the_last_listing() -> None:
    clock = Clock()
    listing = resync(FakeCluster(), WorkQueue(), clock=clock)
    assert listing.age() is None
    play(listing)
    clock.at += 7
    assert listing.age() == pytest.approx(7)


def test_one_kind_that_can_be_read_nowhere_leaves_the_process_unready_and_the_rest_listed() -> None:
    cluster, queue = cluster_with("a/1"), WorkQueue()

    def refuse(_: str, kind: Kind, __: str) -> None:
        if kind in (kinds.JOB, kinds.MODEL_VERSION):
            raise errors.ForbiddenError(f"list {kind.kind}: 403")

    cluster.before_read = refuse
    listing = resync(cluster, queue)
    play(listing)
    assert listing.age() is None
    assert queued(queue) == ["a/1"]


@pytest.mark.parametrize("lost", ["a", "b", "c"])
@pytest.mark.parametrize(
    "error", [errors.ForbiddenError("403"), errors.NotFoundError("404"), errors.UnavailableError("500")]
)
def test_a_namespace_that_is_lost_is_shown_and_the_others_are_listed(lost: str, error: errors.ApiError) -> None:
    cluster, queue = Losing("a/1", "b/2", "c/3"), WorkQueue()
    cluster.lost = {lost: error}
    listing = resync(cluster, queue, namespaces=("a", "b", "c"))
    play(listing)
    assert [name[0] for name in queued(queue)] == [name for name in "abc" if name != lost]
    assert listing.age() is not None
    assert {name: refused(name) for name in "abc"} == {name: float(name == lost) for name in "abc"}


@pytest.mark.parametrize("lost", ["a", "b", "c"])
def test_a_namespace_that_is_found_again_is_no_longer_shown(lost: str) -> None:
    cluster = Losing("a/1", "b/2", "c/3")
    cluster.lost = {lost: errors.ForbiddenError("403")}
    play(resync(cluster, WorkQueue(), namespaces=("a", "b", "c")), cluster.lost.clear)
    assert refused(lost) == 0.0


def test_a_process_whose_namespaces_are_all_lost_is_not_ready() -> None:
    cluster = Losing("a/1")
    cluster.lost = dict.fromkeys("ab", errors.ForbiddenError("403"))
    listing = resync(cluster, WorkQueue(), namespaces=("a", "b"))
    play(listing)
    assert listing.age() is None


def test_the_age_is_that_of_the_kind_that_was_listed_longest_ago() -> None:
    clock, cluster = Clock(), FakeCluster()
    listing = resync(cluster, WorkQueue(), clock=clock)

    def lose_one_kind() -> None:
        clock.at += 100
        cluster.before_read = refusing(kinds.DEPLOYMENT)

    play(listing, lose_one_kind)
    assert listing.age() == pytest.approx(100)


def test_what_was_refused_is_tried_again_before_the_period_is_over_and_nothing_else_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing_module, "_RETRY_SECONDS", 0.01)

    async def scenario() -> list[str]:
        cluster, queue = Losing("a/1", "b/2"), WorkQueue()
        cluster.lost = {"b": errors.ForbiddenError("403")}
        running = asyncio.create_task(
            resync(cluster, queue, namespaces=("a", "b"), clock=time.monotonic).run(period=3600)
        )
        while refused("b") != 1.0:  # noqa: ASYNC110 -- a metric wakes nobody
            await asyncio.sleep(0)
        first = queued(queue)
        cluster.lost = {}
        while refused("b") != 0.0:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        running.cancel()
        return first + queued(queue)

    assert asyncio.run(asyncio.wait_for(scenario(), 30)) == ["a/1", "b/2"]


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
