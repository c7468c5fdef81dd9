"""The first look at hostile content: in a process of its own, under limits of time and memory.

A chat template is a program, a tokenizer holds patterns: either can compute for ever, or make gigabytes of a word.
What passes here once is loaded by the stage itself afterwards. The child is a fork: it has nothing to import and
no more rights than the stage. Knows no template and no tokenizer.
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
"""Loading the largest tokenizers takes seconds; a stage may have a third of a processor."""
BYTES = 4 << 30
"""More than the stage holds already; a tokenizer of 256,000 tokens takes less than one GiB."""


def prove(what: pathlib.Path, work: Callable[[], object], *, seconds: float = SECONDS, size: int = BYTES) -> None:
    """Do this work in a child, and nothing of it here.

    Raises:
        StageError: the child's own, or ModelUnreadable where it takes too long or too much.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_look, args=(work, theirs, size), daemon=True)
    child.start()
    theirs.close()
    try:
        said = ours.recv() if ours.poll(seconds) else None
        if said is None:
            raise _refused(what, f"did not finish within {seconds:.0f} s")
    except EOFError:
        raise _refused(what, f"took more than {size >> 20} MiB of memory, or crashed its library") from None
    finally:
        child.kill()
        child.join()
        ours.close()
    reason, message, code = said
    if reason:
        raise StageError(reason, message, exit_code=ExitCode(code))


def _look(work: Callable[[], object], answer: Connection, size: int) -> None:
    limit = _held() + size
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.disable()  # what the child dies of is told by the stage
    try:
        work()
    except MemoryError:
        return  # the pipe closes, which says it
    except BaseException as error:  # noqa: BLE001 -- the boundary of a process; the stage raises it again
        if isinstance(error, StageError) and isinstance(error.__cause__, MemoryError):
            return
        failure = classification.classify(error)
        answer.send((failure.reason, failure.message, int(failure.exit_code)))
    else:
        answer.send(("", "", 0))


def _held() -> int:
    """Bytes of this process that the limit counts."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0


def _refused(what: pathlib.Path, seen: str) -> StageError:
    expected = "expected a template and a tokenizer that answer at once; use a model that transformers supports itself"
    return StageError(StageReason.MODEL_UNREADABLE, f"{what}: its template or tokenizer {seen}; {expected}")
