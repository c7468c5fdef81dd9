"""First load of hostile content, in a process of its own, under limits of time and memory.

A chat template is a program, a tokenizer holds patterns: either can run for ever, or allocate gigabytes for one
word. What passes here once is loaded by the stage itself afterwards. The child is a fork: it has nothing to import
and no more rights than the stage. Knows no template and no tokenizer.
"""

import faulthandler
import multiprocessing
import pathlib
import resource
from collections.abc import Callable
from multiprocessing.connection import Connection

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process import classification
from modelrefresh_jobs.process.errors import StageError

SECONDS = 120.0
"""Time limit, by the clock: the largest tokenizers load in seconds, but a stage may have a third of a processor."""
BYTES = 4 << 30
"""Memory limit beyond what the stage holds already; a tokenizer of 256,000 tokens takes less than one GiB."""


def prove(what: pathlib.Path, work: Callable[[], object], *, seconds: float = SECONDS, size: int = BYTES) -> None:
    """Do this work in a child process and discard its result; messages name `what`.

    Raises:
        StageError: ModelUnreadable, when it takes more than `seconds` or `size` bytes, or crashes.
        StageError: of the reason that the child's own failure has.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_run, args=(work, theirs, size), daemon=True)
    child.start()
    theirs.close()
    try:
        answer = ours.recv() if ours.poll(seconds) else None
        if answer is None:
            raise _refused(what, f"did not finish within {seconds:.0f} s")
    except EOFError:
        raise _refused(what, f"took more than {size >> 20} MiB of memory, or crashed its library") from None
    finally:
        child.kill()
        child.join()
        ours.close()
    reason, message, code = answer
    if reason:
        raise StageError(reason, message, exit_code=ExitCode(code))


def _run(work: Callable[[], object], answer: Connection, size: int) -> None:
    limit = _data_bytes() + size
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.disable()  # the stage reports how the child ended
    try:
        work()
    except MemoryError:
        return  # the closed pipe tells the stage
    except BaseException as error:  # noqa: BLE001 -- the boundary of a process; the stage raises it again
        if isinstance(error, StageError) and isinstance(error.__cause__, MemoryError):
            return
        failure = classification.classify(error)
        answer.send((failure.reason, failure.message, int(failure.exit_code)))
    else:
        answer.send(("", "", 0))


def _data_bytes() -> int:
    """Bytes of this process that RLIMIT_DATA counts."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0


def _refused(what: pathlib.Path, seen: str) -> StageError:
    expected = "expected a template and a tokenizer that answer at once; use a model that transformers supports itself"
    return StageError(StageReason.MODEL_UNREADABLE, f"{what}: its template or tokenizer {seen}; {expected}")
