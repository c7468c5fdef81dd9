"""What each answer of the API server becomes."""

import asyncio
import datetime as dt
import pathlib
import time
import types

import pytest
from aiohttp import web
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio.config import incluster_config

from modelrefresh import errors
from modelrefresh.kube import kinds, transport
from modelrefresh.kube.client import Client
from modelrefresh.kube.port import Document
from modelrefresh.kube.rate_limit import Bucket
from modelrefresh.kube.transport import Transport
from tests.runtime import servers

BODY = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "team-a"}}


def created(answer: servers.Answer, *, seconds: float = 5.0, fence: float = 10.0) -> Document:
    """What creating a Job gives when the server answers so."""

    async def scenario() -> Document:
        async with servers.serving(answer) as port:
            configuration = kubernetes_client.Configuration(host=f"http://127.0.0.1:{port}")
            wire = Transport(configuration, in_flight=2, seconds=seconds)
            client = Client(wire, fence=lambda: fence, bucket=Bucket(rate=100, burst=100))
            try:
                return await client.create(kinds.JOB, BODY)
            finally:
                await wire.close()

    return asyncio.run(scenario())


def answering(status: int, **headers: str) -> servers.Answer:
    """A server that says this to everything."""

    async def answer(_: web.Request) -> web.StreamResponse:
        document = {"kind": "Status", "reason": "Because", "message": "of this"}
        return web.json_response(document, status=status, headers=headers)

    return answer


async def hang(_: web.Request) -> web.StreamResponse:
    """A server that takes a request and says nothing."""
    await asyncio.sleep(1)
    return web.Response()


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, errors.InvalidError),
        (401, errors.ForbiddenError),
        (403, errors.ForbiddenError),
        (404, errors.NotFoundError),
        (409, errors.ConflictError),
        (410, errors.UnavailableError),
        (422, errors.InvalidError),
        (429, errors.ThrottledError),
        (500, errors.UnavailableError),
        (503, errors.UnavailableError),
    ],
)
def test_each_status_is_an_error_of_ours(status: int, expected: type[errors.ApiError]) -> None:
    with pytest.raises(expected) as caught:
        created(answering(status))
    assert type(caught.value) is expected


def test_an_error_names_verb_object_and_answer() -> None:
    with pytest.raises(errors.ConflictError) as caught:
        created(answering(409))
    assert str(caught.value) == "create Job /apis/batch/v1/namespaces/team-a/jobs: 409 Because: of this"


@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_that_the_server_asks_for_is_kept(status: int) -> None:
    with pytest.raises(errors.ThrottledError) as caught:
        created(answering(status, **{"Retry-After": "7"}))
    assert caught.value.retry_after == 7


def test_a_request_is_sent_once_even_if_it_fails() -> None:
    seen = []

    async def count(_: web.Request) -> web.StreamResponse:
        seen.append(1)
        return web.Response(status=500)

    with pytest.raises(errors.UnavailableError):
        created(count)
    assert len(seen) == 1


def test_a_server_that_hangs_is_unavailable() -> None:
    with pytest.raises(errors.UnavailableError, match="no answer"):
        created(hang, seconds=0.05)


def test_a_write_takes_no_longer_than_the_lease_is_ours() -> None:
    started = time.monotonic()
    with pytest.raises(errors.UnavailableError):
        created(hang, fence=0.05)
    assert time.monotonic() - started < 0.9


def test_a_server_that_is_gone_is_unavailable() -> None:
    async def scenario() -> None:
        wire = Transport(kubernetes_client.Configuration(host="http://127.0.0.1:1"), in_flight=1, seconds=1)
        client = Client(wire, fence=lambda: 10.0, bucket=Bucket(rate=1, burst=1))
        try:
            await client.find(kinds.JOB)
        finally:
            await wire.close()

    with pytest.raises(errors.UnavailableError, match="no answer"):
        asyncio.run(scenario())


def test_plain_text_of_a_proxy_is_told_as_it_is() -> None:
    async def proxy(_: web.Request) -> web.StreamResponse:
        return web.Response(status=502, text="Bad Gateway")

    with pytest.raises(errors.UnavailableError, match="502 : Bad Gateway"):
        created(proxy)


def test_no_request_leaves_without_the_lease() -> None:
    seen = []

    async def note(_: web.Request) -> web.StreamResponse:
        seen.append(1)
        return web.json_response({})

    def refuse() -> float:
        raise errors.NotLeaderError("lost")

    async def scenario() -> None:
        async with servers.serving(note) as port:
            wire = Transport(kubernetes_client.Configuration(host=f"http://127.0.0.1:{port}"), in_flight=1, seconds=1)
            client = Client(wire, fence=refuse, bucket=Bucket(rate=1, burst=1))
            try:
                with pytest.raises(errors.NotLeaderError):
                    await client.create(kinds.JOB, BODY)
            finally:
                await wire.close()

    asyncio.run(scenario())
    assert seen == []


def test_a_long_list_is_read_page_by_page() -> None:
    async def paged(request: web.Request) -> web.StreamResponse:
        token = request.query.get("continue", "")
        items = [{"metadata": {"name": f"job-{token or 0}", "managedFields": [{}]}}]
        following = {"": "1", "1": "2", "2": ""}[token]
        return web.json_response({"items": items, "metadata": {"continue": following}})

    async def scenario() -> list[Document]:
        async with servers.serving(paged) as port:
            wire = Transport(kubernetes_client.Configuration(host=f"http://127.0.0.1:{port}"), in_flight=1, seconds=1)
            client = Client(wire, fence=lambda: 10.0, bucket=Bucket(rate=1, burst=1))
            try:
                return await client.find(kinds.JOB)
            finally:
                await wire.close()

    names = [document["metadata"] for document in asyncio.run(scenario())]
    assert names == [{"name": "job-0"}, {"name": "job-1"}, {"name": "job-2"}]


def test_a_rotated_token_is_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first")
    authority.write_text("a certificate")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority))
    # The library reads the file again when its minute is over.
    over = types.SimpleNamespace(datetime=dt.datetime, timedelta=lambda **_: dt.timedelta(seconds=-1))
    monkeypatch.setattr(incluster_config, "datetime", over)

    async def scenario() -> list[str | None]:
        configuration = await transport.configure()
        first = await transport.token(configuration)
        token.write_text("second\n")
        return [first, await transport.token(configuration)]

    assert asyncio.run(scenario()) == ["first", "second"]
