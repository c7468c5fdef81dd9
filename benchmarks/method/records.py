"""What was found of each cell: JSON lines in the user's cache, the newest line of a cell counts.

A line says of which code it is, so that a run does again what other code found, and the page can
be drawn from what there is. Refuses to know how anything is measured.
"""

import json
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.method.cells import Cell
from hack import environment
from modelrefresh.contract import codec

STORE = environment.CACHE / "method"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one step took."""

    step: str
    """Stage, or `tune` for instruction tuning."""
    tokens: int = 0
    """That went through the model."""
    flops: float = 0.0
    seconds: float
    """CPU time, one thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One cell as it was found."""

    cell: Cell
    code: str
    """Digest of what decides the outcome."""
    day: str
    """On which it was found."""
    weights: int
    costs: tuple[Cost, ...] = ()
    """In their order; of the stock model those of its instruction tuning and of cutting the residual."""
    answers: Mapping[str, str]
    """Suite -> a 1 or 0 for each question, in an order that is equal for all cells of a family; empty if it failed."""
    drift: float | None = None
    """`||trained - start|| / ||start||`."""
    failure: str | None = None
    """What went wrong."""

    def cost(self, *steps: str) -> Cost:
        """Of these steps together."""
        chosen = [cost for cost in self.costs if cost.step in steps]
        return Cost(
            step=" + ".join(steps),
            tokens=sum(cost.tokens for cost in chosen),
            flops=sum(cost.flops for cost in chosen),
            seconds=sum(cost.seconds for cost in chosen),
        )


def read(file: pathlib.Path) -> dict[Cell, Record]:
    """The newest record of each cell; lines of another shape than today's are passed over."""
    found: dict[Cell, Record] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        try:
            record = codec.from_document(Record, json.loads(line))
        except ValueError:
            continue
        found[record.cell] = record
    return found


def append(file: pathlib.Path, record: Record) -> None:
    """One line more."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(codec.to_document(record), sort_keys=True) + "\n")
