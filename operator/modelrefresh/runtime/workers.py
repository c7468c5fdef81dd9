"""Makes passes: takes keys from the queue while this replica leads.

Knows what each failure of a pass means for the next one. What a pass does is for the
function that is given. An exception nobody expected is logged with its traceback and tried
again later: one bad object never stops the others.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from modelrefresh import errors, logs, metrics
from modelrefresh.runtime.lease import Elector
from modelrefresh.runtime.queue import Key, WorkQueue

LOG = logging.getLogger(__name__)
_TURN_SECONDS = 0.2

Pass = Callable[[Key], Awaitable[float | None]]
"""One pass over one object; gives the seconds until the next look, or None for none without an event."""


class Workers:
    """N workers on one queue."""

    def __init__(self, queue: WorkQueue, one_pass: Pass, *, elector: Elector, seconds: float) -> None:
        """Give up a pass after so many seconds."""
        self._queue = queue
        self._pass = one_pass
        self._elector = elector
        self._seconds = seconds
        self._stopping = False
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self, *, count: int) -> None:
        """Work with so many workers, for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self._work())

    async def stop(self, *, seconds: float) -> None:
        """Begin no further pass, and wait so long at most for those that run."""
        self._stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()

    async def _work(self) -> None:
        while True:
            key = await self._queue.take()
            if self._stopping or not self._elector.leads():
                # Standbys keep the key for the time when they lead.
                self._queue.done(key)
                self._queue.add(key)
                await self._await_turn()
                continue
            self._begin()
            try:
                await self.handle(key)
            finally:
                self._end(key)

    def _begin(self) -> None:
        self._busy += 1
        self._idle.clear()

    def _end(self, key: Key) -> None:
        self._queue.done(key)
        self._busy -= 1
        if not self._busy:
            self._idle.set()

    async def _await_turn(self) -> None:
        # A term ends by the clock, which wakes nobody.
        while self._stopping or not self._elector.leads():  # noqa: ASYNC110
            await asyncio.sleep(_TURN_SECONDS)

    async def handle(self, key: Key) -> None:
        """Make one pass and put the key back as its outcome asks."""
        started = time.monotonic()
        with logs.about(logs.Subject(kind=key.kind, namespace=key.namespace, name=key.name)):
            result = await self._attempt(key)
        metrics.PASS_SECONDS.labels(key.kind, result).observe(time.monotonic() - started)

    async def _attempt(self, key: Key) -> str:
        try:
            async with asyncio.timeout(self._seconds):
                again = await self._pass(key)
        except errors.NotLeaderError as error:
            # A new term begins with a resync, which brings every key back.
            LOG.info("pass dropped: %s", error)
            return "not_leader"
        except errors.ConflictError as error:
            LOG.debug("seen too late, looking again: %s", error)
            self._queue.retry(key)
            return "conflict"
        except errors.ThrottledError as error:
            LOG.warning("the API server asks to wait %.1f s: %s", error.retry_after, error)
            self._queue.add_after(key, error.retry_after)
            return "throttled"
        except (errors.ApiError, TimeoutError) as error:
            LOG.warning("pass failed, next in %.1f s: %r", self._queue.retry(key), error)
            return "api_error"
        except Exception:
            # The boundary of one object: a fault in its pass must not stop the others'.
            LOG.exception("pass failed for a reason that nobody expected, next in %.1f s", self._queue.retry(key))
            return "error"
        self._queue.forget(key)
        if again is not None:
            self._queue.add_after(key, again)
        return "ok"
