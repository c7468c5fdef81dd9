"""What probes and Prometheus see, and what progress pages of pods give."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from modelrefresh.cluster import progress
from modelrefresh.kube.port import Document
from modelrefresh.runtime import health
from modelrefresh.runtime.health import HealthChecks
from tests.runtime import servers


def signs(*, age: float | None = 1.0, watching: bool = True, uptime: float = 5.0) -> HealthChecks:
    """Signs of a process whose resync may be 100 s old."""
    return HealthChecks(resync_age=lambda: age, resync_limit=100.0, watching=lambda: watching, uptime=lambda: uptime)


def page(given: HealthChecks, path: str) -> tuple[int, str]:
    """Status and text of one page."""

    async def scenario() -> tuple[int, str]:
        runner = await health.serve(given, port=0)
        try:
            # IPv4 and IPv6 have ports of their own; only IPv4 addresses have two parts.
            port = next(address[1] for address in runner.addresses if len(address) == 2)
            address = f"http://127.0.0.1:{port}{path}"
            async with aiohttp.ClientSession() as session, session.get(address) as response:
                return response.status, await response.text()
        finally:
            await runner.cleanup()

    return asyncio.run(scenario())


def probed(answer: servers.Answer) -> Document | None:
    """What a pod's progress page gives."""

    async def scenario() -> Document | None:
        async with servers.serving(answer) as port:
            return await progress.probe("127.0.0.1", port=port)

    return asyncio.run(scenario())


def test_a_process_that_works_is_healthy() -> None:
    assert page(signs(), "/healthz") == (200, "ok\n")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (signs(age=101), "no resync for more than 100 s"),
        (signs(age=None, uptime=101), "no resync for more than 100 s"),
        (signs(watching=False), "the event watcher has ended for good"),
    ],
)
def test_a_process_that_needs_a_restart_says_why(given: HealthChecks, said: str) -> None:
    assert page(given, "/healthz") == (503, f"{said}\n")


def test_a_process_that_waits_for_its_first_listing_is_healthy_but_not_ready() -> None:
    starting = signs(age=None)
    assert page(starting, "/healthz")[0] == 200
    assert page(starting, "/readyz")[0] == 503


def test_a_process_that_has_listed_everything_is_ready() -> None:
    assert page(signs(), "/readyz") == (200, "ok\n")


def test_metrics_are_served_as_prometheus_text() -> None:
    status, text = page(signs(), "/metrics")
    assert status == 200
    assert "# TYPE modelrefresh_leader gauge" in text


def test_progress_is_what_the_page_says() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.path == "/progress"
        return web.json_response({"step": 3})

    assert probed(answer) == {"step": 3}


@pytest.mark.parametrize("response", [{"text": "no JSON"}, {"text": "[1]"}, {"status": 500, "text": "{}"}])
def test_a_page_of_another_kind_is_no_progress(response: dict[str, object]) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(**response)  # type: ignore[arg-type]

    assert probed(answer) is None


def test_a_page_that_points_elsewhere_is_not_followed() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/elsewhere")

    assert probed(answer) is None


def test_a_pod_that_does_not_listen_has_no_progress() -> None:
    assert asyncio.run(progress.probe("127.0.0.1", port=1)) is None


def test_an_address_that_is_none_is_not_asked() -> None:
    assert asyncio.run(progress.probe("pod.example.invalid")) is None
