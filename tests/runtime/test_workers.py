"""What each outcome of a pass means for the next one."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from modelrefresh import errors
from modelrefresh.runtime.lease import Elector, LeaseTerms
from modelrefresh.runtime.queue import Key, WorkQueue
from modelrefresh.runtime.workers import Workers
from tests.fakes.cluster import FakeCluster
from tests.runtime.clocks import Clock

KEY = Key(kind="ModelRefresh", namespace="team-a", name="news")


def outcome(one_pass: Callable[[Key], Awaitable[float | None]], clock: Clock, *, seconds: float = 1) -> WorkQueue:
    """The queue after one pass."""

    async def scenario() -> WorkQueue:
        queue = WorkQueue(clock=clock, jitter=lambda: 1.0)
        await Workers(queue, one_pass, elector=leader(clock), seconds=seconds).handle(KEY)
        return queue

    return asyncio.run(scenario())


def leader(clock: Clock) -> Elector:
    """An elector; whether it leads is for its steps."""
    return Elector(FakeCluster(), LeaseTerms(namespace="system", name="lease", identity="one"), clock=clock)


def failing(error: Exception) -> Callable[[Key], Awaitable[float | None]]:
    """A pass that fails."""

    async def one_pass(_: Key) -> float | None:
        raise error

    return one_pass


def giving(seconds: float | None) -> Callable[[Key], Awaitable[float | None]]:
    """A pass that succeeds."""

    async def one_pass(_: Key) -> float | None:
        return seconds

    return one_pass


def due_after(queue: WorkQueue, clock: Clock, *, limit: int = 10_000) -> float | None:
    """Seconds until the key is due, to a tenth."""
    start = clock.at
    for tenth in range(limit):
        clock.at = start + tenth / 10
        if queue.poll() is not None:
            return tenth / 10
    return None


def test_a_pass_that_names_a_time_is_followed_by_one_then() -> None:
    clock = Clock()
    assert due_after(outcome(giving(30), clock), clock) == pytest.approx(30)


def test_a_pass_that_names_no_time_is_followed_by_none() -> None:
    clock = Clock()
    assert due_after(outcome(giving(None), clock), clock) is None


def test_a_throttled_pass_waits_as_long_as_the_server_asks() -> None:
    clock = Clock()
    assert due_after(outcome(failing(errors.ThrottledError("busy", retry_after=7)), clock), clock) == pytest.approx(7)


@pytest.mark.parametrize(
    "error", [errors.ConflictError("stale"), errors.UnavailableError("down"), TimeoutError(), ZeroDivisionError()]
)
def test_a_failed_pass_is_tried_again_after_its_backoff(error: Exception) -> None:
    clock = Clock()
    assert due_after(outcome(failing(error), clock), clock) == pytest.approx(0.5)


def test_a_pass_without_the_lease_is_dropped() -> None:
    clock = Clock()
    assert due_after(outcome(failing(errors.NotLeaderError("lost")), clock), clock) is None


def test_a_pass_that_hangs_is_given_up_and_tried_again() -> None:
    async def hang(_: Key) -> float | None:
        await asyncio.sleep(3600)
        return None

    clock = Clock()
    assert due_after(outcome(hang, clock, seconds=0.01), clock) == pytest.approx(0.5)


def test_an_unexpected_failure_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        outcome(failing(ZeroDivisionError("boom")), Clock())
    assert "ZeroDivisionError: boom" in caplog.text


def test_a_standby_keeps_its_keys_until_it_leads() -> None:
    async def scenario() -> list[Key]:
        clock, seen = Clock(), list[Key]()

        async def one_pass(key: Key) -> float | None:
            seen.append(key)
            return None

        queue, elector = WorkQueue(), leader(clock)
        queue.add(KEY)
        workers = Workers(queue, one_pass, elector=elector, seconds=1)
        running = asyncio.create_task(workers.run(count=2))
        await asyncio.sleep(0.05)
        assert not seen
        assert len(queue) == 1
        await elector.step()
        await asyncio.sleep(0.3)
        running.cancel()
        return seen

    assert asyncio.run(scenario()) == [KEY]


def test_stopping_waits_for_a_running_pass_and_begins_no_other() -> None:
    async def scenario() -> list[str]:
        clock, done = Clock(), list[str]()
        elector, queue = leader(clock), WorkQueue()
        await elector.step()

        async def one_pass(key: Key) -> float | None:
            await asyncio.sleep(0.05)
            done.append(key.name)
            return None

        workers = Workers(queue, one_pass, elector=elector, seconds=1)
        running = asyncio.create_task(workers.run(count=1))
        for name in ("a", "b"):
            queue.add(Key(kind="ModelRefresh", namespace="team-a", name=name))
        await asyncio.sleep(0.01)
        await workers.stop(seconds=1)
        await asyncio.sleep(0.1)
        running.cancel()
        return done

    assert asyncio.run(scenario()) == ["a"]
