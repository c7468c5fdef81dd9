"""Work beside the caller, in threads: results in order, a few at a time.

Hashing, files and NumPy release the interpreter's lock while they work. Knows no weights.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """Some threads; what has not begun by the end of the block never does.

    As many as there are cores suit work that holds the lock for moments between milliseconds without it, as hashing
    does. NumPy over slices takes the lock every few microseconds: a second thread of it costs more than it gains.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = futures.ThreadPoolExecutor(threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def in_order(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The function's results in the order of the items; at most one more than there are threads waits."""
        waiting: deque[futures.Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(self._pool.submit(function, item))
                if len(waiting) > self._threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()
