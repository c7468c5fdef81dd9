"""The work queue."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrefresh.runtime import queue
from modelrefresh.runtime.queue import Key, WorkQueue
from tests.runtime.clocks import Clock


def key(name: str = "a") -> Key:
    """A key of a refresh."""
    return Key(kind="ModelRefresh", namespace="team-a", name=name)


def queue_at(clock: Clock, *, jitter: float = 1.0) -> WorkQueue:
    """A queue whose time and jitter are given."""
    return WorkQueue(clock=clock, jitter=lambda: jitter)


def test_a_key_that_comes_again_while_it_waits_is_one_entry() -> None:
    keys = queue_at(Clock())
    keys.add(key())
    keys.add(key())
    assert (keys.poll(), keys.poll()) == (key(), None)


def test_a_key_is_never_given_to_two_workers() -> None:
    keys = queue_at(Clock())
    keys.add(key())
    keys.poll()
    keys.add(key())
    assert keys.poll() is None


def test_a_key_that_comes_again_while_a_worker_has_it_is_given_out_once_more() -> None:
    keys = queue_at(Clock())
    keys.add(key())
    keys.poll()
    keys.add(key())
    keys.add(key())
    keys.done(key())
    assert keys.poll() == key()
    keys.done(key())
    assert keys.poll() is None


def test_keys_are_given_out_in_the_order_in_which_they_came() -> None:
    keys = queue_at(Clock())
    for name in "cab":
        keys.add(key(name))
    assert [keys.poll() for _ in range(3)] == [key("c"), key("a"), key("b")]


def test_a_delayed_key_is_given_out_when_it_is_due() -> None:
    clock = Clock()
    keys = queue_at(clock)
    keys.add_after(key(), 5)
    clock.at += 4.9
    assert keys.poll() is None
    clock.at += 0.2
    assert keys.poll() == key()


def test_the_earliest_of_several_delays_counts() -> None:
    clock = Clock()
    keys = queue_at(clock)
    keys.add_after(key(), 60)
    keys.add_after(key(), 5)
    keys.add_after(key(), 30)
    clock.at += 6
    assert keys.poll() == key()


def test_a_pass_makes_older_delays_void() -> None:
    clock = Clock()
    keys = queue_at(clock)
    keys.add_after(key(), 5)
    keys.add(key())
    keys.poll()
    keys.done(key())
    clock.at += 6
    assert keys.poll() is None


def test_the_backoff_doubles_up_to_its_limit() -> None:
    keys = queue_at(Clock())
    delays = [keys.retry(key()) for _ in range(40)]
    assert delays[:4] == [0.5, 1.0, 2.0, 4.0]
    assert delays[-1] == queue.BACKOFF_LIMIT


def test_jitter_takes_up_to_half_of_the_backoff() -> None:
    assert queue_at(Clock(), jitter=0.0).retry(key()) == pytest.approx(0.25)


def test_the_backoff_starts_anew_after_a_success() -> None:
    keys = queue_at(Clock())
    keys.retry(key())
    keys.retry(key())
    keys.forget(key())
    assert keys.retry(key()) == queue.BACKOFF_FIRST


def test_the_backoff_of_one_key_leaves_others_alone() -> None:
    keys = queue_at(Clock())
    keys.retry(key("a"))
    assert keys.retry(key("b")) == queue.BACKOFF_FIRST


def test_a_waiting_worker_wakes_for_a_new_key() -> None:
    async def scenario() -> Key:
        keys = WorkQueue()
        worker = asyncio.create_task(keys.take())
        await asyncio.sleep(0)
        keys.add(key())
        return await asyncio.wait_for(worker, 1)

    assert asyncio.run(scenario()) == key()


def test_a_waiting_worker_wakes_for_a_key_that_becomes_due() -> None:
    async def scenario() -> Key:
        keys = WorkQueue()
        keys.add_after(key("late"), 60)
        worker = asyncio.create_task(keys.take())
        await asyncio.sleep(0)
        keys.add_after(key("early"), 0.01)
        return await asyncio.wait_for(worker, 1)

    assert asyncio.run(scenario()) == key("early")


def test_two_waiting_workers_get_two_keys() -> None:
    async def scenario() -> set[Key]:
        keys = WorkQueue()
        workers = [asyncio.create_task(keys.take()) for _ in range(2)]
        await asyncio.sleep(0)
        keys.add(key("a"))
        keys.add(key("b"))
        return set(await asyncio.wait_for(asyncio.gather(*workers), 1))

    assert asyncio.run(scenario()) == {key("a"), key("b")}


@given(st.lists(st.tuples(st.sampled_from(["add", "after", "poll", "done", "tick"]), st.sampled_from("abc"))))
def test_no_key_is_lost_and_none_is_held_twice(steps: list[tuple[str, str]]) -> None:
    clock = Clock()
    keys = queue_at(clock)
    held: list[Key] = []
    asked: set[Key] = set()
    for verb, name in steps:
        if verb == "add":
            keys.add(key(name))
            asked.add(key(name))
        elif verb == "after":
            keys.add_after(key(name), 3)
        elif verb == "poll" and (taken := keys.poll()):
            assert taken not in held
            held.append(taken)
            asked.discard(taken)
        elif verb == "done" and key(name) in held:
            held.remove(key(name))
            keys.done(key(name))
        elif verb == "tick":
            clock.at += 1
    for taken in held:
        keys.done(taken)
    left = set()
    while (taken := keys.poll()) is not None:
        left.add(taken)
        keys.done(taken)
    assert asked <= left
