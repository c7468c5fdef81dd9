"""The generated part of docs/method.md: claims, figures, the table, and what is missing.

Draws from records alone; a cell that failed or was not measured is shown as such.
"""

import pathlib
from collections.abc import Iterable, Sequence

from benchmarks import tables
from benchmarks.method import claims, code, figures, findings, grid
from benchmarks.method.cells import Way
from benchmarks.method.findings import Findings
from benchmarks.method.records import Record

PAGE = tables.PAGE.with_name("method.md")
NAME = "method"
HEAD = ("", *findings.SUITES, "tokens", "FLOPs", "CPU s")


def write(found: Findings, page: pathlib.Path = PAGE) -> None:
    """Draw the figures beside the page, and put the rest between its markers."""
    pictures = figures.draw(found, page.parent)
    text = page.read_text(encoding="utf-8")
    page.write_text(tables.replaced(text, NAME, render(found, pictures)), encoding="utf-8")


def render(found: Findings, pictures: Sequence[figures.Picture] = ()) -> str:
    """The generated part."""
    rows = grid.rows()
    drawn = [f"![{picture.says}]({picture.file.name})\n\n{picture.says}" for picture in pictures]
    parts = (
        _circumstances(found),
        _missing(found, rows),
        "### Claims",
        claims.render(found),
        "### Figures",
        *drawn,
        "### Cost of the tuning that a residual replaces",
        claims.costs(found) or "Not measured yet.",
        "### All cells",
        tables.table(HEAD, [line for row in rows for line in _lines(found, row, rows)]),
    )
    return "\n\n".join(part for part in parts if part)


def _circumstances(found: Findings) -> str:
    days = sorted({record.day for record in found.records.values()})
    when = f"from {days[0]} to {days[-1]}" if days else "never"
    older = sum(record.code != code.of_cells(record.cell.family.size) for record in found.records.values())
    said = f" {older} of them were found by earlier code." if older else ""
    return f"{len(found.records)} cells, taken {when} on {tables.machine()}, each in one thread.{said}"


def _missing(found: Findings, rows: Iterable[grid.Row]) -> str:
    wanted = {row.factor: {cell for one in rows if one.factor == row.factor for cell in one.cells} for row in rows}
    lacking = {factor: len(cells - found.records.keys()) for factor, cells in wanted.items()}
    parts = [f"{count} of {len(wanted[factor])} of {factor}" for factor, count in lacking.items() if count]
    return f"Not measured, because the run was stopped or given less time: {', '.join(parts)}." if parts else ""


def _lines(found: Findings, row: grid.Row, rows: Sequence[grid.Row]) -> Iterable[Sequence[str]]:
    if row == next(one for one in rows if one.factor == row.factor):
        yield (f"*{row.factor}*", *[""] * (len(HEAD) - 1))
    failed = [record for cell in row.cells if (record := found.records.get(cell)) and record.failure]
    measured = found.of(row.cells)
    if measured:
        yield _line(f"{row.label}{_of_seeds(row, measured)}", measured)
    elif not failed:
        yield (row.label, "not measured", *[""] * (len(HEAD) - 2))
    for record in failed:
        yield (f"{row.label}, seed {record.cell.family.seed}", f"failed: {record.failure}", *[""] * (len(HEAD) - 2))


def _of_seeds(row: grid.Row, measured: Sequence[Record]) -> str:
    return "" if len(measured) == len(row.cells) else f" ({len(measured)} of {len(row.cells)} seeds)"


def _line(label: str, measured: Sequence[Record]) -> Sequence[str]:
    shares = (findings.share(measured, suite) for suite in findings.SUITES)
    steps = ("tune", "extract") if measured[0].cell.way is Way.STOCK else ("prepare", "train", "merge", "tune")
    cost = measured[0].cost(*steps)
    return (
        label,
        *(one.text for one in shares if one),
        f"{cost.tokens:,}",
        f"{cost.flops:.1e}",
        f"{findings.seconds(measured, *steps):.0f}",
    )
