"""The watcher against a server with faults: whatever happens, the next change is told.

These tests run kopf itself. They say what a new version of kopf must not change.
"""

import asyncio
import collections
from collections.abc import Callable, Coroutine

import pytest
from kubernetes.aio import client as kubernetes_client

from modelrefresh import metrics
from modelrefresh.kube import kinds, transport
from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Document
from modelrefresh.runtime import event_watcher
from tests.runtime import threads
from tests.runtime.apiserver import ApiServer

ERROR = '{"type": "ERROR", "object": {"kind": "Status", "code": %d, "message": "a fault"}}'
SECONDS = 20.0


def refresh(name: str) -> Document:
    """A ModelRefresh as a watch gives it."""
    metadata = {"name": name, "namespace": "team-a", "uid": f"uid-{name}", "resourceVersion": "2"}
    return {"apiVersion": kinds.MODEL_REFRESH.api_version, "kind": "ModelRefresh", "metadata": metadata, "spec": {}}


class Told:
    """What the watcher told."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.seen: collections.Counter[tuple[str, bool]] = collections.Counter()

    def note(self, _: Kind, document: Document, deleted: bool) -> None:  # noqa: FBT001 -- the shape of Changed
        """Called in the watcher's thread."""
        self.seen[document["metadata"]["name"], deleted] += 1

    async def assert_told(self, name: str, *, deleted: bool = False) -> None:
        """Wait until a change of this object was told."""
        async with asyncio.timeout(SECONDS):
            while not self.seen[name, deleted]:  # noqa: ASYNC110 -- told by another thread
                await asyncio.sleep(0.01)


Scenario = Callable[[ApiServer, Told], Coroutine[None, None, None]]


def play(monkeypatch: pytest.MonkeyPatch, scenario: Scenario) -> None:
    """Run a scenario with a watcher on a server."""

    async def run() -> None:
        server, told = ApiServer(), Told()
        async with server.serving() as address:

            async def configure() -> kubernetes_client.Configuration:
                return kubernetes_client.Configuration(host=address)

            monkeypatch.setattr(transport, "configure", configure)
            monkeypatch.setattr(event_watcher, "_BACKOFF", (0.05, 0.1))
            watcher = event_watcher.Watcher(told.note, lambda: None, namespaces=())
            watcher.start()
            try:
                async with asyncio.timeout(SECONDS):
                    await server.watched(kinds.MODEL_REFRESH)
                await scenario(server, told)
            finally:
                watcher.stop()
                for kind in (*kinds.OWN, kinds.JOB, kinds.DEPLOYMENT):
                    server.cut(kind)
                await asyncio.to_thread(threads.await_watchers, SECONDS)

    asyncio.run(run())


async def watched_again(server: ApiServer) -> None:
    """Wait for the watch after a fault."""
    async with asyncio.timeout(SECONDS):
        await server.watched(kinds.MODEL_REFRESH)


def test_a_change_a_deletion_and_the_first_list_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(server: ApiServer, told: Told) -> None:
        server.send(kinds.MODEL_REFRESH, "ADDED", refresh("new"))
        await told.assert_told("new")
        server.send(kinds.MODEL_REFRESH, "DELETED", refresh("new"))
        await told.assert_told("new", deleted=True)
        server.lists["modelrefreshes"] = [refresh("listed")]
        server.cut(kinds.MODEL_REFRESH, last=ERROR % 410)
        await told.assert_told("listed")

    play(monkeypatch, scenario)


@pytest.mark.parametrize(
    ("last", "restarts"), [(None, 0), (ERROR % 410, 0), (ERROR % 500, 1)], ids=["closed", "410 inside", "500 inside"]
)
def test_changes_are_told_after_a_stream_ends(monkeypatch: pytest.MonkeyPatch, last: str | None, restarts: int) -> None:
    async def scenario(server: ApiServer, told: Told) -> None:
        server.cut(kinds.MODEL_REFRESH, last=last)
        await watched_again(server)
        server.send(kinds.MODEL_REFRESH, "MODIFIED", refresh("later"))
        await told.assert_told("later")

    before = _restarts()
    play(monkeypatch, scenario)
    assert _restarts() - before == restarts


@pytest.mark.parametrize(
    ("verb", "code", "restarts"),
    [("list", 404, 1), ("list", 410, 1), ("list", 403, 0), ("list", 429, 0), ("watch", 409, 1), ("watch", 504, 0)],
)
def test_changes_are_told_after_a_refused_request(
    monkeypatch: pytest.MonkeyPatch, verb: str, code: int, restarts: int
) -> None:
    async def scenario(server: ApiServer, told: Told) -> None:
        server.faults[verb, "modelrefreshes"] = [code]
        server.cut(kinds.MODEL_REFRESH, last=ERROR % 410)
        await watched_again(server)
        server.send(kinds.MODEL_REFRESH, "MODIFIED", refresh("later"))
        await told.assert_told("later")

    before = _restarts()
    play(monkeypatch, scenario)
    assert _restarts() - before == restarts


def test_a_spurious_401_is_answered_by_a_new_login(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(server: ApiServer, told: Told) -> None:
        server.faults["watch", "modelrefreshes"] = [401]
        server.cut(kinds.MODEL_REFRESH)
        await watched_again(server)
        server.send(kinds.MODEL_REFRESH, "MODIFIED", refresh("later"))
        await told.assert_told("later")

    play(monkeypatch, scenario)


def test_a_flood_of_events_of_one_object_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(server: ApiServer, told: Told) -> None:
        for _ in range(200):
            server.send(kinds.MODEL_REFRESH, "MODIFIED", refresh("busy"))
        server.send(kinds.MODEL_REFRESH, "MODIFIED", refresh("last"))
        await told.assert_told("last")
        async with asyncio.timeout(SECONDS):
            while told.seen["busy", False] < 200:  # noqa: ASYNC110 -- told by another thread
                await asyncio.sleep(0.01)

    play(monkeypatch, scenario)


def _restarts() -> float:
    return metrics.REGISTRY.get_sample_value("modelrefresh_kopf_restarts_total") or 0.0
