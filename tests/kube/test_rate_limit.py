"""The write rate."""

import asyncio

import pytest

from modelrefresh.kube.rate_limit import Bucket
from tests.runtime.clocks import Clock


def seconds_for(writes: int, *, pause: float = 0.0) -> float:
    """Seconds that so many writes take at 20 a second with a burst of 40."""

    async def scenario() -> float:
        clock = Clock()
        bucket = Bucket(rate=20, burst=40, clock=clock, sleep=clock.sleep)
        started = clock.at
        for _ in range(writes):
            await bucket.take()
            clock.at += pause
        return clock.at - started

    return asyncio.run(scenario())


def test_a_burst_passes_at_once() -> None:
    assert seconds_for(40) == 0


def test_what_exceeds_the_burst_passes_at_the_rate() -> None:
    assert seconds_for(60) == pytest.approx(1.0)


def test_slow_writers_never_wait() -> None:
    assert seconds_for(100, pause=0.05) == pytest.approx(5.0)
