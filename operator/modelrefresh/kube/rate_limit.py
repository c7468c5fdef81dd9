"""How fast this process may write: a token bucket.

Knows rate and burst; who waits is served in order. API servers have fairness of their own,
but an operator that never floods them is never throttled with others.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable


class Bucket:
    """Tokens come at a rate up to a burst; a caller waits until its token is there."""

    def __init__(
        self,
        *,
        rate: float,
        burst: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Start full."""
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._sleep = sleep
        self._tokens = burst
        self._at = clock()

    async def take(self) -> None:
        """Wait for a token."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate) - 1
        self._at = now
        if self._tokens < 0:
            await self._sleep(-self._tokens / self._rate)
