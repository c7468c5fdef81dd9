"""Work in child processes, results in order: for NumPy, whose threads wait for each other at the interpreter's lock.

A child is a fork: it imports nothing and knows what its parent knew. Results should be small; they go through a pipe.
Knows no weights.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh_jobs.process import classification
from modelrefresh_jobs.process.errors import StageError

Item = TypeVar("Item")
_MOST = 6
"""Children; a parent that hashes what they write keeps up with so many."""


def in_order(function: Callable[[Item], object], items: Sequence[Item]) -> Generator[Any]:
    """The function's results in the order of the items, each computed in one of as many children as there are cores.

    Raises:
        StageError: of the reason that a child's failure has.
        MemoryError: when a child was killed.
    """
    count = min(_MOST, len(os.sched_getaffinity(0)), len(items))
    children = [_start(function, items[number::count]) for number in range(count)]
    try:
        for number in range(len(items)):
            yield _received(children[number % count][1])
    finally:
        for child, answers in children:
            child.kill()
            child.join()
            answers.close()


def _start(function: Callable[[Item], object], items: Sequence[Item]) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_run, args=(function, items, theirs), daemon=True)
    child.start()
    theirs.close()
    return child, ours


def _received(answers: Connection) -> object:
    try:
        failure, result = answers.recv()
    except EOFError:
        raise MemoryError("a process that computed weights was killed, as when memory runs out") from None
    if failure:
        reason, message, code = failure
        raise StageError(reason, message, exit_code=ExitCode(code))
    return result


def _run(function: Callable[[Item], object], items: Sequence[Item], answers: Connection) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # its parent ends it
    try:
        for item in items:
            answers.send((None, function(item)))
    except BrokenPipeError:
        return  # nobody waits any more
    except BaseException as error:  # noqa: BLE001 -- the boundary of a process; the parent raises it again
        failure = classification.classify(error)
        if not failure.expected:
            classification.log(failure, error)  # its traceback stays here
        answers.send(((failure.reason, failure.message, int(failure.exit_code)), None))
