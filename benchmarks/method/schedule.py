"""Runs the courses of training, two at once and one thread each, until all are done or the time is over.

A family of models is made by one worker while the others take what is ready. Every record is kept as soon
as its course ends, so a run that is stopped goes on where it was. Knows nothing of what a course does.
"""

import concurrent.futures
import logging
import multiprocessing
import os
import pathlib
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass

from benchmarks.method.cells import Cell, Family, Release
from benchmarks.method.records import Record

Need = tuple[Family, Release]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done."""

    courses: Sequence[tuple[Cell, ...]]
    """Cells of one training each, the most important first."""
    root: pathlib.Path
    workers: int
    until: float
    """On the monotonic clock: nothing begins later."""


def courses(cells: Iterable[Cell]) -> list[tuple[Cell, ...]]:
    """The cells by what is trained, in the order of the first of each."""
    together: dict[Cell, list[Cell]] = {}
    for cell in dict.fromkeys(cells):
        together.setdefault(cell.training, []).append(cell)
    return [tuple(group) for group in together.values()]


def needs(course: Sequence[Cell]) -> set[Need]:
    """The releases that a course takes."""
    return {(cell.family, release) for cell in course for release in (cell.start, cell.residual)}


def run(plan: Plan) -> Iterator[Record]:
    """The records, as they come; a fault ends it."""
    waiting, there = (
        list(plan.courses),
        {need for course in plan.courses for need in needs(course) if _ready(plan, need)},
    )
    working: dict[Future[list[Record]], Need | None] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(plan.workers, mp_context=context, initializer=_settle) as pool:
        while waiting or working:
            while len(working) < plan.workers and (chosen := _next(plan, waiting, there, working.values())):
                course, need = chosen
                if need is None:
                    waiting.remove(course)
                    working[pool.submit(_measure, course, plan.root)] = None
                else:
                    working[pool.submit(_make, need, plan.root)] = need
            if not working:
                return
            done, _ = concurrent.futures.wait(working, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                need = working.pop(future)
                there |= {need} if need else set()
                yield from future.result()


def _next(
    plan: Plan, waiting: Sequence[tuple[Cell, ...]], there: set[Need], working: Iterable[Need | None]
) -> tuple[tuple[Cell, ...], Need | None] | None:
    """The first course that can begin, or what must be made for it; None if all that is left waits for others."""
    if time.monotonic() >= plan.until:
        return None
    made = {family for family, _ in filter(None, working)}
    for course in waiting:
        missing = sorted(needs(course) - there, key=lambda need: need[1] is Release.SECOND)
        if not missing:
            return course, None
        if missing[0][0] not in made:
            return course, missing[0]
    return None


def _ready(plan: Plan, need: Need) -> bool:
    from benchmarks.method import pairs  # noqa: PLC0415 -- torch takes long to import

    return pairs.ready(plan.root, *need)


def _settle() -> None:
    """Once in each worker."""
    import torch  # noqa: PLC0415 -- the same
    import transformers  # noqa: PLC0415 -- the same
    from lm_eval.models import huggingface  # noqa: F401, PLC0415 -- else the first cell would pay for it

    from modelrefresh_jobs.training import trainer  # noqa: F401, PLC0415 -- the same

    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # a merge computes in one process
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")  # of libraries: findings are in the records


def _make(need: Need, root: pathlib.Path) -> list[Record]:
    from benchmarks.method import pairs  # noqa: PLC0415 -- the same

    pairs.pair(root, *need)
    return []


def _measure(course: tuple[Cell, ...], root: pathlib.Path) -> list[Record]:
    from benchmarks.method import measuring  # noqa: PLC0415 -- the same

    return measuring.measure(measuring.Course(cells=course, root=root))
