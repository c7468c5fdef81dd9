"""Work on a stream of batches by several threads, with results in the order of the batches.

Few batches are under way at once, so memory does not grow with the stream. Pays where the work lets go of Python's
lock, as compiled tokenizers and numpy do. Knows nothing of the work.
"""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Batch = TypeVar("Batch")
Result = TypeVar("Result")


def mapped(work: Callable[[Batch], Result], batches: Iterable[Batch], *, threads: int) -> Iterator[Result]:
    """The result of each batch; what fails is raised at its place."""
    under_way: collections.deque[Future[Result]] = collections.deque()
    with ThreadPoolExecutor(threads) as pool:
        for batch in batches:
            under_way.append(pool.submit(work, batch))
            if len(under_way) > threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
