"""What probes and Prometheus ask this process, served from the loop that does the work; metrics are written beside it.

`/healthz` answers while the loop turns, the event watcher lives and every kind was listed not
too long ago; `/readyz` after every kind was listed once, in a namespace at least: one that is
lost is shown by a metric, since no restart brings it back; `/metrics` always. A loop that is
blocked cannot answer, which is the point of serving from it.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import prometheus_client
from aiohttp import web

from modelrefresh import metrics

_ROUND_SECONDS, _ROUNDS, _CONNECTIONS = 5.0, 6, 200
"""Every so many seconds connections are looked at; older than so many rounds, or more than so many, they are closed."""
_RUNNER = web.AppKey("runner", web.AppRunner)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChecks:
    """Where the answers come from."""

    resync_age: Callable[[], float | None]
    resync_limit: float
    """Seconds without a resync after which the process counts as dead."""
    watching: Callable[[], bool]
    """Whether the event watcher lives."""
    uptime: Callable[[], float]


def faults(signs: HealthChecks) -> list[str]:
    """Why this process should be restarted; empty if it should not."""
    age = signs.resync_age()
    found = []
    if not signs.watching():
        found.append("the event watcher has ended for good")
    if (signs.uptime() if age is None else age) > signs.resync_limit:
        found.append(f"no resync for more than {signs.resync_limit:.0f} s")
    return found


class Page:
    """Something that takes long to write, handed to everybody who asks: written anew after some seconds at most.

    Beside the loop, which has a Lease to renew, and by one thread, however many ask (docs/decisions/0025).
    """

    def __init__(
        self, write: Callable[[], bytes], *, seconds: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Keep what `write` gives for so many seconds."""
        self._write, self._seconds, self._clock = write, seconds, clock
        self._body, self._written = b"", -math.inf
        self._turn = asyncio.Lock()

    async def body(self) -> bytes:
        """The page as it was written last."""
        async with self._turn:
            if self._clock() - self._written >= self._seconds:
                self._body = await asyncio.to_thread(self._write)
                self._written = self._clock()
        return self._body


async def _tended(application: web.Application) -> AsyncIterator[None]:
    """Close connections that are old or too many: who says nothing must not hold them for ever."""
    tending = asyncio.create_task(_tend(lambda: application[_RUNNER].server))
    yield
    tending.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await tending


async def _tend(server: Callable[[], web.Server | None]) -> None:
    known: dict[web.RequestHandler, int] = {}
    while True:
        await asyncio.sleep(_ROUND_SECONDS)
        found = server()
        there = found.connections if found else []
        known = {one: known.get(one, 0) + 1 for one in there}
        for number, one in enumerate(there):
            if (known[one] > _ROUNDS or number >= _CONNECTIONS) and one.transport is not None:
                one.transport.close()


async def serve(signs: HealthChecks, *, port: int) -> web.AppRunner:
    """Listen on this port of all addresses; the caller cleans the runner up."""

    async def healthz(_: web.Request) -> web.Response:
        found = faults(signs)
        return web.Response(text="\n".join(found or ["ok"]) + "\n", status=503 if found else 200)

    async def readyz(_: web.Request) -> web.Response:
        ready = signs.resync_age() is not None
        return web.Response(text="ok\n" if ready else "not every kind was listed yet\n", status=200 if ready else 503)

    page = Page(lambda: prometheus_client.generate_latest(metrics.REGISTRY))

    async def metrics_page(_: web.Request) -> web.Response:
        return web.Response(body=await page.body(), headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST})

    application = web.Application()
    application.cleanup_ctx.append(_tended)
    application.add_routes(
        [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics_page)]
    )
    runner = web.AppRunner(application, access_log=None)
    application[_RUNNER] = runner
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
