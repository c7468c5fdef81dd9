"""Which objects must be looked at, and when: a queue of keys without duplicates.

Works as client-go's: a key that comes again while it waits is one entry; one that comes again
while a worker has it is given out once more afterwards; no two workers ever have the same
key. Knows delays and a growing backoff for each key, nothing about objects. One event loop.
"""

import asyncio
import collections
import contextlib
import heapq
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from modelrefresh import metrics

BACKOFF_FIRST = 0.5
BACKOFF_LIMIT = 300.0


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Key:
    """One object that a pass can be made over."""

    kind: str
    """ModelRefresh or InstructionResidual."""
    namespace: str
    name: str


class WorkQueue:
    """Keys that are due, keys that are due later, and keys that workers have."""

    def __init__(
        self,
        *,
        share: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Give out `share` keys of one namespace at once; seconds come from `clock`, 0 to 1 from `jitter`."""
        self._share = share
        self._clock = clock
        self._jitter = jitter
        self._ready: collections.OrderedDict[str, collections.deque[Key]] = collections.OrderedDict()
        """Keys that are due by namespace, the one whose turn it is first."""
        self._held: collections.Counter[str] = collections.Counter()
        """Keys that workers have, by namespace."""
        self._since: dict[Key, float] = {}
        """Keys that wait for a worker or for their worker to finish, and since when."""
        self._taken: set[Key] = set()
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        self._failures: collections.Counter[Key] = collections.Counter()
        self._wake = asyncio.Event()

    def add(self, key: Key) -> None:
        """Look at this object as soon as a worker is free."""
        if key in self._since:
            return
        self._since[key] = self._clock()
        if key not in self._taken:
            self._line_up(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Look at this object in so many seconds, or earlier if that was asked for."""
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock() + seconds
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))
            self._notify()

    def retry(self, key: Key) -> float:
        """Look at this object again after its backoff, which grows with each call; gives the seconds."""
        backoff = min(BACKOFF_FIRST * 2.0 ** min(self._failures[key], 32), BACKOFF_LIMIT)
        self._failures[key] += 1
        seconds = backoff * (0.5 + self._jitter() / 2)
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: Key) -> None:
        """The last pass went well: the backoff starts anew."""
        self._failures.pop(key, None)

    def poll(self) -> Key | None:
        """A key that is due, given to the caller until `done`, or None."""
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
        namespace = next((name for name in self._ready if self._held[name] < self._share), None)
        if namespace is None:
            return None
        key = self._next_of(namespace)
        metrics.QUEUE_SECONDS.observe(now - self._since.pop(key))
        metrics.QUEUE_DEPTH.set(len(self))
        self._taken.add(key)
        self._held[namespace] += 1
        # The pass that follows says anew when to look next.
        self._due.pop(key, None)
        return key

    async def take(self) -> Key:
        """Wait for a key that is due; the caller has it until `done`."""
        while (key := self.poll()) is None:
            self._wake.clear()
            wait = self._heap[0][0] - self._clock() if self._heap else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()
        return key

    def done(self, key: Key) -> None:
        """The caller no longer has the key; if it came again meanwhile it is due now."""
        self._taken.discard(key)
        self._held[key.namespace] -= 1
        if not self._held[key.namespace]:
            del self._held[key.namespace]
        if key in self._since:
            self._line_up(key)
        self._wake.set()

    def __len__(self) -> int:
        """How many keys wait for a worker."""
        return sum(map(len, self._ready.values()))

    def _line_up(self, key: Key) -> None:
        self._ready.setdefault(key.namespace, collections.deque()).append(key)
        self._notify()

    def _next_of(self, namespace: str) -> Key:
        """The first key of a namespace, which then goes to the end of the line."""
        keys = self._ready.pop(namespace)
        key = keys.popleft()
        if keys:
            self._ready[namespace] = keys
        return key

    def _notify(self) -> None:
        metrics.QUEUE_DEPTH.set(len(self))
        self._wake.set()
