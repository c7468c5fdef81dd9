"""Every reader of what users bring, with real files for it: what a run of the fuzz does, in one list.

A target has whole files in a folder, of which one at a time is damaged, and the function that a
stage or the operator calls on them. Knows nothing of how files get damaged (`mutations`).
"""

import pathlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh_jobs.process import classification
from tests.fuzz import mutations


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One reader."""

    name: str
    folder: pathlib.Path
    files: tuple[str, ...]
    """Of the folder, those that are damaged."""
    use: Callable[[str], object]
    """Called with the name of the damaged file, with whatever the reader raises."""
    total: bool = False
    """It raises nothing at all."""
    places: tuple[str, ...] = ()
    """Words of which a refusal has one, instead of the folder's path."""
    weight: int = 1
    """How many of the inputs it gets, against the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of one input."""

    how: str
    seconds: float
    refused: bool
    fault: str
    """Why it counts against this software; empty if it does not."""


def trials(target: Target, *, count: int, seed: int) -> Iterator[Trial]:
    """Damage this many files, one after the other, and read each; the folder is whole again after each."""
    whole = {name: (target.folder / name).read_bytes() for name in target.files}
    for mutant in mutations.mutants(whole, count=count, seed=seed):
        path = target.folder / mutant.name
        path.write_bytes(mutant.content)
        begun = time.perf_counter()
        try:
            target.use(mutant.name)
            error = None
        except BaseException as raised:
            if isinstance(raised, KeyboardInterrupt):
                raise
            error = raised
        finally:
            path.write_bytes(whole[mutant.name])
        seconds = time.perf_counter() - begun
        fault = _fault(target, error) if error else ""
        yield Trial(how=f"{target.name}: {mutant.how}", seconds=seconds, refused=error is not None, fault=fault)


def _fault(target: Target, error: BaseException) -> str:
    if target.total:
        return f"raised {type(error).__name__}: {error!s:.300}"
    failure = classification.classify(error)
    if not failure.expected or failure.exit_code is not ExitCode.BAD_INPUT:
        return f"{failure.reason} ({failure.exit_code}): {failure.message:.300}"
    places = target.places or (str(target.folder),)
    return "" if any(place in failure.message for place in places) else f"names no file: {failure.message:.300}"
