"""The truth behind the events: lists everything from time to time and puts every key on the queue.

Knows which kinds must be readable, and asks for each of them in each namespace by itself: what
is refused in one place is tried again there, and the rest counts as listed. Events may be lost;
nothing is decided here. Of Jobs and other children only the first page is read: their owners
are looked at anyway, and a page proves that they can be read.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from modelrefresh import errors, metrics
from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Port
from modelrefresh.runtime import watch_index
from modelrefresh.runtime.queue import WorkQueue

LOG = logging.getLogger(__name__)
_RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where one kind is listed."""

    kind: Kind
    namespace: str | None
    """None for the whole cluster."""


class Resync:
    """Lists all kinds again and again."""

    def __init__(
        self,
        port: Port,
        *,
        queue: WorkQueue,
        known: watch_index.Routes,
        namespaces: tuple[str, ...],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Serve these namespaces, or all at none."""
        self._port = port
        self._queue = queue
        self._routes = known
        self._clock = clock
        self._places = tuple(
            _Place(kind=kind, namespace=namespace)
            for kind in watch_index.WATCHED
            for namespace in (namespaces if kind.namespaced and namespaces else (None,))
        )
        self._listed: dict[_Place, float] = {}
        """When each place was last listed."""
        self._refusals: dict[_Place, int] = {}
        """How often in a row each place was refused."""
        self._now = asyncio.Event()

    def age(self) -> float | None:
        """Seconds since every kind was last listed somewhere, or None while one of them never was.

        A namespace that is lost does not count: no restart would bring it back.
        """
        newest: dict[Kind, float] = {}
        for place, moment in self._listed.items():
            newest[place.kind] = max(moment, newest.get(place.kind, moment))
        if len(newest) < len(watch_index.WATCHED):
            return None
        return self._clock() - min(newest.values())

    def soon(self) -> None:
        """List without waiting for the period, as a new leader must."""
        self._now.set()

    async def run(self, *, period: float) -> None:
        """List everything in each period, for ever; what is refused is tried again sooner."""
        due = dict.fromkeys(self._places, self._clock())
        while True:
            self._now.clear()
            await self._round([place for place in self._places if due[place] <= self._clock()])
            for place in self._places:
                if due[place] <= self._clock():
                    due[place] = self._clock() + self._wait(place, period)
            try:
                async with asyncio.timeout(max(0.0, min(due.values()) - self._clock())):
                    await self._now.wait()
                due = dict.fromkeys(self._places, self._clock())
            except TimeoutError:
                continue

    def _wait(self, place: _Place, period: float) -> float:
        spread = 0.9 + 0.2 * random.random()  # noqa: S311 -- spreads load, guards nothing
        refusals = self._refusals.get(place, 0)
        return spread * (min(period, _RETRY_SECONDS * 2.0 ** min(refusals - 1, 32)) if refusals else period)

    async def _round(self, places: Iterable[_Place]) -> None:
        for place in places:
            labels = (place.kind.kind, place.namespace or "")
            try:
                await self._list(place.kind, place.namespace)
            except errors.ApiError as error:
                self._refusals[place] = self._refusals.get(place, 0) + 1
                metrics.RESYNC_REFUSED.labels(*labels).set(1)
                where = f"namespace {place.namespace}" if place.namespace else "the cluster"
                LOG.warning("%s of %s cannot be listed and is tried again: %s", place.kind.kind, where, error)
            else:
                self._listed[place] = self._clock()
                self._refusals.pop(place, None)
                metrics.RESYNC_REFUSED.labels(*labels).set(0)
        age = self.age()
        if age is not None:
            metrics.RESYNC_TIME.set(time.time() - age)

    async def _list(self, kind: Kind, namespace: str | None) -> None:
        async for page in self._port.pages(kind, namespace=namespace, selector=watch_index.SELECTORS.get(kind, "")):
            for document in page:
                for key in self._routes.keys(kind, document):
                    self._queue.add(key)
            if kind not in watch_index.KEYED:
                return
