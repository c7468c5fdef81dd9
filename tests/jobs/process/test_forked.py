"""Work in child processes: what comes back, in which order, and how a child's end is told."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process import forked
from modelrefresh_jobs.process.errors import StageError
from tests.jobs import builders


def test_results_come_in_the_order_of_the_items_from_other_processes() -> None:
    found = list(forked.in_order(lambda item: (item, os.getpid()), range(7)))
    assert [item for item, _ in found] == list(range(7))
    assert os.getpid() not in {process for _, process in found}


def test_a_failure_in_a_child_is_its_parents_with_reason_and_exit_code() -> None:
    def refuse(_: int) -> None:
        raise StageError(StageReason.TRAINING_DIVERGED, "norm: not finite", exit_code=ExitCode.DIVERGED)

    with pytest.raises(StageError, match="norm: not finite") as caught:
        list(forked.in_order(refuse, (1, 2, 3)))
    assert (caught.value.reason, caught.value.exit_code) == (StageReason.TRAINING_DIVERGED, ExitCode.DIVERGED)


def test_a_child_that_is_killed_is_told_as_lack_of_memory() -> None:
    with pytest.raises(MemoryError, match="was killed"):
        list(forked.in_order(lambda _: os.kill(os.getpid(), signal.SIGKILL), (1,)))


def test_children_do_not_outlive_a_parent_that_leaves_early() -> None:
    results = forked.in_order(lambda item: (item, os.getpid()), range(1000))
    _, child = next(results)
    results.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three processes may be kept busy."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")


@pytest.mark.usefixtures("three")
def test_there_are_as_many_children_as_the_container_was_given_cores() -> None:
    def busy(_: int) -> int:
        return os.getpid()

    assert len(set(forked.in_order(busy, range(9)))) == 3


@pytest.mark.usefixtures("three")
def test_children_that_have_started_end_where_another_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", failing_at(3, os.fork))
    with pytest.raises(BlockingIOError):
        list(forked.in_order(lambda _: time.sleep(60), range(9)))
    assert multiprocessing.active_children() == []


def failing_at(number: int, fork: Callable[[], int]) -> Callable[[], int]:
    """A fork of which this one fails, as where no more processes are allowed."""
    left = iter(range(number - 1, -1, -1))

    def limited() -> int:
        if next(left):
            return fork()
        raise BlockingIOError(errno.EAGAIN, "no more processes")

    return limited


_PARENT = """
import time
from modelrefresh_jobs.process import forked
for _ in forked.in_order(lambda item: item and time.sleep(60), range(9)):
    print("started", flush=True)
"""


def test_children_end_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT],
        stdout=subprocess.PIPE,
        env=builders.shell() | {"OMP_NUM_THREADS": "3"},
    ) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"started\n"
        parent.kill()
        # The children hold the other end as well: it is closed when the last of them is gone.
        assert parent.communicate(timeout=30)[0] == b""
