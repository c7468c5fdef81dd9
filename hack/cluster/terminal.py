"""What a waiting person sees: which thing is being done, how long it usually takes, how long it took.

Plain lines only, so that they read the same in a terminal and in a CI log.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(thing: str, message: str) -> None:
    """Print one line, at once, on standard error: standard output is for `status`."""
    sys.stderr.write(f"{thing:<12} {message}\n")
    sys.stderr.flush()


@contextmanager
def step(thing: str, doing: str, *, usually: str) -> Iterator[None]:
    """Tell that `thing` is under way, tell it again every minute, and how long it took in the end."""
    say(thing, f"{doing}, usually {usually}")
    begun, done = time.monotonic(), threading.Event()

    def remind() -> None:
        while not done.wait(60):
            say(thing, f"still {doing}, {_elapsed(begun)} of usually {usually}")

    threading.Thread(target=remind, daemon=True).start()
    try:
        yield
    finally:
        done.set()
    say(thing, f"done in {_elapsed(begun)}")


def _elapsed(begun: float) -> str:
    minutes, seconds = divmod(round(time.monotonic() - begun), 60)
    return f"{minutes}m{seconds:02d}s" if minutes else f"{seconds}s"
