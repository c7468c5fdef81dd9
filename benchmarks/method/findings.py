"""Figures over the records: shares of right answers, differences on equal questions, costs.

Every interval is exact and two-sided at 95 %, by the operator's own bounds, over all questions of all seeds
together. The same questions come up in each seed, so it says less of other seeds than of other questions; the
spread over seeds stands beside it.
"""

import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.method import grid
from benchmarks.method.cells import Cell
from benchmarks.method.records import Record
from modelrefresh.plan.judging import intervals

NEW, RETAINED, INSTRUCTIONS = SUITES = ("new-knowledge", "retained", "instructions")
_CONFIDENCE = 0.975
"""Of each end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A mean of shares or of their differences, 0-1 or -1 to 1."""

    mean: float
    low: float
    high: float
    seeds: tuple[float, ...]

    @property
    def text(self) -> str:
        """In percent, with the interval and, of several seeds, the least and the most."""
        return f"{self.short} [{100 * self.low:.1f}, {100 * self.high:.1f}]{self._spread}"

    @property
    def signed(self) -> str:
        """The same of a difference, in points."""
        return f"{100 * self.mean:+.1f} [{100 * self.low:+.1f}, {100 * self.high:+.1f}]"

    @property
    def short(self) -> str:
        """The mean in percent."""
        return f"{100 * self.mean:.1f}"

    @property
    def _spread(self) -> str:
        if len(self.seeds) == 1:
            return ""
        return f" {100 * min(self.seeds):.0f} to {100 * max(self.seeds):.0f}"


@dataclass(frozen=True, slots=True)
class Findings:
    """All records, by cell."""

    records: Mapping[Cell, Record]

    def of(self, cells: Iterable[Cell]) -> list[Record]:
        """Records with answers of these cells."""
        found = (self.records.get(cell) for cell in cells)
        return [record for record in found if record and record.answers]

    def seeds(self, cell: Cell, seeds: Sequence[int] = grid.SEEDS) -> list[Record]:
        """Of the cell with each of these seeds, as far as they were measured."""
        return self.of(grid.row("", "", cell, seeds).cells)

    def share(self, cell: Cell, suite: str, seeds: Sequence[int] = grid.SEEDS) -> Share | None:
        """Right answers of a cell over its seeds; None if none of them was measured."""
        return share(self.seeds(cell, seeds), suite)

    def difference(self, cell: Cell, other: Cell, suite: str, seeds: Sequence[int] = grid.SEEDS) -> Share | None:
        """The first minus the second over the seeds in which both were measured, on the same questions."""
        pairs = [self.of(_with_seed(one, seed) for one in (cell, other)) for seed in seeds]
        return difference([(ours, theirs) for ours, theirs in filter(lambda pair: len(pair) == 2, pairs)], suite)


def share(records: Sequence[Record], suite: str) -> Share | None:
    """Of right answers over all records together."""
    if not records:
        return None
    answers = [record.answers[suite] for record in records]
    right, items = sum(one.count("1") for one in answers), sum(map(len, answers))
    within = intervals.of_share(right, items, confidence=_CONFIDENCE)
    seeds = tuple(one.count("1") / len(one) for one in answers)
    return Share(mean=right / items, low=within.low, high=within.high, seeds=seeds)


def difference(pairs: Sequence[tuple[Record, Record]], suite: str) -> Share | None:
    """Of two ways over all pairs of records together, question by question."""
    if not pairs:
        return None
    answered = [list(zip(ours.answers[suite], theirs.answers[suite], strict=True)) for ours, theirs in pairs]
    flips = [(one.count(("1", "0")), one.count(("0", "1")), len(one)) for one in answered]
    gains, losses, items = (sum(column) for column in zip(*flips, strict=True))
    within = intervals.of_difference(gains, losses, items, confidence=_CONFIDENCE)
    seeds = tuple((won - lost) / asked for won, lost, asked in flips)
    return Share(mean=(gains - losses) / items, low=within.low, high=within.high, seeds=seeds)


def seconds(records: Sequence[Record], *steps: str) -> float:
    """Median CPU time of these steps together."""
    return statistics.median(record.cost(*steps).seconds for record in records)


def _with_seed(cell: Cell, seed: int) -> Cell:
    return dataclasses.replace(cell, family=dataclasses.replace(cell.family, seed=seed))
