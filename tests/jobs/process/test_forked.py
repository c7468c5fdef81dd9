"""Work in child processes: what comes back, in which order, and how a child's end is told."""

import os
import signal

import pytest

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process import forked
from modelrefresh_jobs.process.errors import StageError


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
