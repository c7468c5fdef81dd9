"""`python -m benchmarks.method`: measure the cells that are missing, then draw docs/method.md from all there are.

Records and models lie in the user's cache; a run that is stopped goes on where it was. `--minutes 0` only draws.
"""

import argparse
import math
import os
import shutil
import time
from collections.abc import Sequence

from benchmarks.method import code, grid, page, pairs, records, schedule
from benchmarks.method.cells import Cell
from benchmarks.method.findings import Findings

FILE = records.STORE / "cells.jsonl"


def main() -> None:
    """Measure, then draw."""
    factors = sorted({row.factor for row in grid.rows()})
    parser = argparse.ArgumentParser(prog="python -m benchmarks.method", description=__doc__)
    parser.add_argument("factors", nargs="*", metavar="FACTOR", help=f"only these: {', '.join(factors)}")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin nothing later than that")
    parser.add_argument("--seeds", type=int, default=len(grid.SEEDS), help="only so many seeds")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="trainings at once, a thread each")
    chosen = parser.parse_args()
    if unknown := sorted(set(chosen.factors) - set(factors)):
        parser.error(f"{', '.join(unknown)}: expected some of {', '.join(factors)}")
    wanted = [
        cell
        for row in grid.rows()
        if not chosen.factors or row.factor in chosen.factors
        for cell in row.cells
        if cell.family.seed < chosen.seeds
    ]
    if chosen.minutes:
        known = records.read(FILE)
        _measure([cell for cell in dict.fromkeys(wanted) if not _is_current(known.get(cell))], chosen)
    page.write(Findings(records.read(FILE)))
    print(f"bench: {page.PAGE.name} is drawn from {len(records.read(FILE))} records of {FILE}", flush=True)


def _is_current(record: records.Record | None) -> bool:
    return record is not None and record.code == code.of_cells(record.cell.family.size)


def _forget_old() -> None:
    """Remove the families that other code has made."""
    current = {pairs.workspace(records.STORE, cell.family) for row in grid.rows() for cell in row.cells}
    for folder in (records.STORE / "families").glob("*"):
        if folder not in current:
            shutil.rmtree(folder)


def _measure(cells: Sequence[Cell], chosen: argparse.Namespace) -> None:
    _forget_old()
    began = time.monotonic()
    plan = schedule.Plan(
        courses=schedule.courses(cells),
        root=records.STORE,
        workers=chosen.workers,
        until=began + 60 * chosen.minutes,
    )
    for number, record in enumerate(schedule.run(plan), 1):
        records.append(FILE, record)
        answers = record.answers.items()
        told = record.failure or "  ".join(f"{name} {said.count('1') / len(said):.3f}" for name, said in answers)
        minutes = (time.monotonic() - began) / 60
        print(f"bench: {number} of {len(cells)}, {minutes:.0f} min: {record.cell.label}: {told}", flush=True)


if __name__ == "__main__":
    main()
