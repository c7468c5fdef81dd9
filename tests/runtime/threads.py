"""Waiting for the thread of a watcher, which the operator itself never does."""

import threading

from modelrefresh.runtime import event_watcher


def await_watchers(seconds: float) -> None:
    """Return when no watcher's thread is left, or after so long."""
    for thread in threading.enumerate():
        if thread.name == event_watcher.THREAD:
            thread.join(seconds)
