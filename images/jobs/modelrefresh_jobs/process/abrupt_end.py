"""End of the process from another thread, while the main one hangs and can raise nothing.

Whoever began the process says how its end is told (`telling`); whoever sees the hang leaves. Knows no stage.
"""

import contextlib
import faulthandler
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

from modelrefresh_jobs.process.errors import StageError

LOG = logging.getLogger("modelrefresh.jobs")
_TELLING_SECONDS = 30.0
"""A workspace that hangs as well must not keep the process."""
Tell = Callable[[StageError], object]
_TELLERS: list[Tell] = []


@contextlib.contextmanager
def telling(tell: Tell) -> Iterator[None]:
    """Within the block an abrupt end is told in this way."""
    _TELLERS.append(tell)
    try:
        yield
    finally:
        _TELLERS.remove(tell)


def leave(error: StageError) -> NoReturn:
    """Log why and where every thread stands, tell it, and end the process with the error's exit code."""
    threading.Timer(_TELLING_SECONDS, os._exit, [error.exit_code]).start()
    try:
        LOG.error("%s: %s", error.reason, error)
        faulthandler.dump_traceback(sys.__stderr__ or 2, all_threads=True)
        for tell in reversed(_TELLERS):
            tell(error)
    finally:
        os._exit(error.exit_code)
