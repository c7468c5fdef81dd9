"""Missing definitions and permissions are said by name."""

import asyncio
import logging

import pytest

from modelrefresh import errors
from modelrefresh.kube import kinds
from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Document
from modelrefresh.runtime import access
from tests.fakes.cluster import FakeCluster


class Reviewer(FakeCluster):
    """Answers access reviews: everything is granted but what a test takes away."""

    def __init__(self, *denied: tuple[str, str]) -> None:
        """Deny these pairs of verb and resource."""
        super().__init__()
        self._denied = denied

    async def create(self, kind: Kind, document: Document) -> Document:
        """Answer a review."""
        assert kind == kinds.ACCESS_REVIEW
        asked = document["spec"]["resourceAttributes"]
        return {**document, "status": {"allowed": (asked["verb"], asked["resource"]) not in self._denied}}


def test_a_process_that_may_do_everything_lacks_nothing() -> None:
    assert asyncio.run(access.missing(Reviewer(), namespaces=())) == []


def test_a_missing_permission_is_named_with_its_reach() -> None:
    lacks = asyncio.run(access.missing(Reviewer(("patch", "deployments")), namespaces=()))
    assert lacks == ["patch deployments (whole cluster)"]


def test_permissions_are_checked_in_each_served_namespace() -> None:
    lacks = asyncio.run(access.missing(Reviewer(("list", "pods")), namespaces=("team-a", "team-b")))
    assert lacks == ["list pods (team-a)", "list pods (team-b)"]


def test_a_start_before_the_definitions_waits_and_says_for_which(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cluster, refusals = FakeCluster(), [1, 1]

    def refuse(_: str, kind: Kind, __: str) -> None:
        if kind == kinds.MODEL_VERSION and refusals:
            refusals.pop()
            raise errors.NotFoundError("list ModelVersion: 404")

    cluster.before_read = refuse
    monkeypatch.setattr(access, "_WAIT_SECONDS", 0.01)
    with caplog.at_level(logging.WARNING):
        asyncio.run(access.await_kinds(cluster, namespaces=()))
    assert caplog.messages == ["ModelVersion is not served yet, looking again in 0 s: list ModelVersion: 404"] * 2


@pytest.mark.parametrize("namespaces", [("lost", "kept"), ("kept", "lost")])
def test_a_lost_namespace_keeps_no_start_waiting(namespaces: tuple[str, ...]) -> None:
    class Losing(FakeCluster):
        async def find(
            self, kind: Kind, *, namespace: str | None = None, selector: str = "", fields: str = "", limit: int = 0
        ) -> list[Document]:
            if namespace == "lost":
                raise errors.ForbiddenError(f"list {kind.kind}: 403")
            return await super().find(kind, namespace=namespace, selector=selector, fields=fields, limit=limit)

    async def starts() -> bool:
        async with asyncio.timeout(5):
            await access.await_kinds(Losing(), namespaces=namespaces)
        return True

    assert asyncio.run(starts())
