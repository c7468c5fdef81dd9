"""SIGTERM, the way Kubernetes asks a stage to leave, and SIGINT (Ctrl-C), the way a person does.

SIGHUP, when the person's terminal goes away, is such a request too, unless `nohup` took it off.
By default the main thread is interrupted with `Preempted`, so that `finally` blocks clean up.
A stage that has something to save first says so with `deferred()`: inside it the signal only
raises a flag and calls back, and a second Ctrl-C does not wait. Knows nothing of what a stage
saves or how the exit is reported.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


class Preempted(BaseException):
    """A signal arrived; no `except Exception` on the way may swallow it."""


@dataclass(slots=True)
class _State:
    requested: threading.Event = field(default_factory=threading.Event)
    deferrals: list[Callable[[], None]] = field(default_factory=list)


_STATE = _State()


def install() -> None:
    """Take over SIGTERM, SIGINT and a SIGHUP that is not ignored; call once from the main thread."""
    _STATE.requested.clear()
    for number in _ours():
        signal.signal(number, _on_signal)


def ending(code: int) -> None:
    """From now on a signal ends the process at once, with this exit code: all work is done and told."""
    for number in _ours():
        signal.signal(number, lambda *_: os._exit(code))


def requested() -> bool:
    """Whether a signal has arrived."""
    return _STATE.requested.is_set()


@contextlib.contextmanager
def deferred(callback: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold `Preempted` back: the signal sets the flag and calls back (in the main thread) instead.

    The block decides itself when it leaves, and raises `Preempted` if it stopped short.
    """
    _STATE.deferrals.append(callback or _nothing)
    try:
        yield
    finally:
        _STATE.deferrals.pop()


def _ours() -> tuple[signal.Signals, ...]:
    is_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGTERM, signal.SIGINT, *(() if is_nohup else (signal.SIGHUP,)))


def _on_signal(number: int, _frame: object) -> None:
    again = number == signal.SIGINT and _STATE.requested.is_set()
    _STATE.requested.set()
    if again or not _STATE.deferrals:
        raise Preempted(f"{signal.Signals(number).name} arrived; of this attempt only what it had sealed is kept")
    for callback in tuple(_STATE.deferrals):
        callback()


def _nothing() -> None:
    """The flag is enough."""
