"""Every reader of what users bring against damaged files: how many were taken, refused, and not foreseen.

The inputs are those of `tests/fuzz`, real files mutated by a seed; the tests take a thousand of
them, this takes many more. A row with a fault in it is a bug of this software.
"""

import logging
import pathlib
import statistics
import warnings

from benchmarks import tables
from tests.fuzz import answers, models, targets
from tests.fuzz.targets import Trial

INPUTS = 20_000
_SEED = 1


def run(root: pathlib.Path, *, inputs: int = INPUTS) -> dict[str, list[Trial]]:
    """At least this many trials over all readers, by reader."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")  # what the libraries say of odd files is not the point
    readers = [*answers.targets(root / "answers"), *models.targets(root)]
    share = -(-inputs // sum(target.weight for target in readers))
    found = {}
    for target in readers:
        found[target.name] = list(targets.trials(target, count=share * target.weight, seed=_SEED))
        faults = [f"{trial.how}: {trial.fault}" for trial in found[target.name] if trial.fault]
        print(f"bench: {target.name}: {len(found[target.name])} inputs, {len(faults)} faults", *faults[:5], flush=True)
    return found


def render(found: dict[str, list[Trial]]) -> str:
    """One row for each reader, and the sum."""
    rows = [_row(name, trials) for name, trials in found.items()]
    whole = _row("all", [trial for trials in found.values() for trial in trials])
    return tables.table(["reader", "inputs", "taken", "refused", "not foreseen", "median ms"], [*rows, whole])


def _row(name: str, trials: list[Trial]) -> list[str]:
    faults = sum(bool(trial.fault) for trial in trials)
    refused = sum(trial.refused for trial in trials) - faults
    median = 1000 * statistics.median(trial.seconds for trial in trials)
    return [
        name,
        f"{len(trials):,}",
        f"{len(trials) - refused - faults:,}",
        f"{refused:,}",
        str(faults),
        f"{median:.1f}",
    ]
