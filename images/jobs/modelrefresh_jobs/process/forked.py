"""Work in child processes, results in order: for NumPy, whose threads wait for each other at the interpreter's lock.

A child is a fork: it imports nothing and knows what its parent knew. Results should be small; they go through a pipe.
No child outlives its parent, however that ends. Knows no weights.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh_jobs.process import classification, cores
from modelrefresh_jobs.process.errors import StageError

Item = TypeVar("Item")
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_MOST = 6
"""Children; a parent that hashes what they write keeps up with so many."""


def in_order(function: Callable[[Item], object], items: Sequence[Item]) -> Generator[Any]:
    """The function's results in the order of the items, each computed in one of as many children as cores are allowed.

    Who may leave before the last result closes it, which ends the children.

    Raises:
        StageError: of the reason that a child's failure has.
        MemoryError: when a child was killed.
    """
    count, pipes = min(_MOST, cores.allowed(), len(items)), list[Connection]()
    context = multiprocessing.get_context("fork")
    with contextlib.ExitStack() as ends:
        for number in range(count):
            ours, theirs = context.Pipe(duplex=False)
            pipes.append(ends.enter_context(ours))
            arguments = (function, items[number::count], theirs, tuple(pipes), os.getpid())
            child = context.Process(target=_run, args=arguments, daemon=True)
            ends.callback(_end, child)  # before it starts, so that nothing can come between
            with theirs:
                child.start()
        for number in range(len(items)):
            yield _received(pipes[number % count])


def _end(child: BaseProcess) -> None:
    if child.pid is not None:
        child.kill()
        child.join()


def _received(answers: Connection) -> object:
    try:
        failure, result = answers.recv()
    except EOFError:
        raise MemoryError("a process that computed weights was killed, as when memory runs out") from None
    if failure:
        reason, message, code = failure
        raise StageError(reason, message, exit_code=ExitCode(code))
    return result


def _run(
    function: Callable[[Item], object],
    items: Sequence[Item],
    answers: Connection,
    inherited: Sequence[Connection],
    parent: int,
) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # its parent ends it
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # or the kernel does, when the parent is gone
    if os.getppid() != parent:
        return
    for pipe in inherited:
        pipe.close()  # an end that is read here would hide that nobody reads any more
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
