"""The truth behind the events: lists everything from time to time and puts every key on the queue.

Knows which kinds must be readable. Events may be lost; nothing is decided here. Of Jobs and
other children only the first page is read: their owners are looked at anyway, and a page
proves that they can be read.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable

from modelrefresh import errors, metrics
from modelrefresh.cluster import routes
from modelrefresh.cluster.kinds import Kind
from modelrefresh.cluster.port import Port
from modelrefresh.cluster.queue import WorkQueue

LOGGER = logging.getLogger(__name__)
_RETRY_SECONDS = 5.0


class Resync:
    """Lists all kinds again and again."""

    def __init__(
        self,
        port: Port,
        *,
        queue: WorkQueue,
        known: routes.Routes,
        namespaces: tuple[str, ...],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Serve these namespaces, or all at none."""
        self._port = port
        self._queue = queue
        self._routes = known
        self._namespaces = namespaces
        self._clock = clock
        self._finished: float | None = None
        self._now = asyncio.Event()

    def age(self) -> float | None:
        """Seconds since everything was listed, or None before the first time."""
        return None if self._finished is None else self._clock() - self._finished

    def soon(self) -> None:
        """List without waiting for the period, as a new leader must."""
        self._now.set()

    async def once(self) -> None:
        """List everything.

        Raises:
            ApiError: a kind cannot be read.
        """
        for kind in routes.WATCHED:
            for namespace in self._namespaces if kind.namespaced and self._namespaces else (None,):
                await self._list(kind, namespace)
        self._finished = self._clock()
        metrics.RESYNC_TIME.set_to_current_time()

    async def run(self, *, period: float) -> None:
        """List everything in each period, for ever."""
        while True:
            self._now.clear()
            try:
                await self.once()
                wait = period * (0.9 + 0.2 * random.random())  # noqa: S311 -- spreads load, guards nothing
            except errors.ApiError as error:
                LOGGER.warning("resync failed, next try in %.0f s: %s", _RETRY_SECONDS, error)
                wait = _RETRY_SECONDS
            try:
                async with asyncio.timeout(wait):
                    await self._now.wait()
            except TimeoutError:
                continue

    async def _list(self, kind: Kind, namespace: str | None) -> None:
        async for page in self._port.pages(kind, namespace=namespace, selector=routes.SELECTORS.get(kind, "")):
            for document in page:
                for key in self._routes.keys(kind, document):
                    self._queue.add(key)
            if kind not in routes.KEYED:
                return
