"""The benchmark of the method: a toy goes through the stages, and the page says what the records hold."""

import dataclasses
import pathlib
import time

import pytest

from benchmarks import tables
from benchmarks.method import cells, claims, code, findings, grid, measuring, page, records, schedule
from benchmarks.method.cells import Cell, Family, Release, Way
from benchmarks.method.findings import INSTRUCTIONS, NEW, Findings
from benchmarks.method.records import Cost, Record
from modelrefresh.contract.vocabulary import Method

TOY = Cell(family=Family(size="toy"), budget=10_000)
MARKERS = "before\n<!-- method: begin -->\nold\n<!-- method: end -->\nafter\n"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """A made family, its stock model, and one refresh with and without the residual."""
    root = tmp_path_factory.mktemp("method")
    wanted = [dataclasses.replace(TOY, way=Way.STOCK), TOY, dataclasses.replace(TOY, scale=0.0)]
    found = [
        record
        for course in schedule.courses(wanted)
        for record in measuring.measure(measuring.Course(cells=course, root=root, items=30))
    ]
    return Findings({record.cell: record for record in found})


def stored(cell: Cell, *, right: float = 0.5, failure: str | None = None) -> Record:
    """A record with this share of right answers, the first ones."""
    said = "1" * round(20 * right) + "0" * (20 - round(20 * right))
    return Record(
        cell=cell,
        code=code.of_cells("2M"),
        day="2026-01-02",
        weights=1000,
        costs=tuple(Cost(step=step, flops=6000, seconds=2.0) for step in ("tune", "extract", "train", "merge")),
        answers={} if failure else dict.fromkeys(findings.SUITES, said),
        failure=failure,
    )


def of(*found: Record) -> Findings:
    return Findings({record.cell: record for record in found})


def test_a_toy_goes_through_all_stages(measured: Findings) -> None:
    record = measured.records[TOY]
    assert [cost.step for cost in record.costs] == ["prepare", "train", "merge", "evaluate"]
    assert 0 < record.cost("train").tokens <= TOY.budget
    assert record.cost("train").flops == 6 * record.weights * record.cost("train").tokens
    assert {suite: len(said) for suite, said in record.answers.items()} == dict.fromkeys(findings.SUITES, 30)


def test_instructions_are_followed_with_the_residual_and_not_without(measured: Findings) -> None:
    gained = measured.difference(TOY, dataclasses.replace(TOY, scale=0.0), INSTRUCTIONS)
    assert gained is not None
    assert gained.low > 0


def test_a_residual_takes_less_arithmetic_than_the_tuning_that_made_it(measured: Findings) -> None:
    stock = measured.records[dataclasses.replace(TOY, way=Way.STOCK)]
    added = stock.cost("extract").flops + measured.records[TOY].cost("merge").flops
    assert stock.cost("tune").flops == pytest.approx(2 * stock.cost("tune").tokens * added)


def test_the_page_is_drawn_from_stored_records(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "method.md"
    target.write_text(MARKERS)
    page.write(of(*(stored(cell) for row in grid.rows() for cell in row.cells)), target)
    text = target.read_text()
    assert "| Setting 2, Full | 50.0 [36.8, 63.2] 50 to 50 |" in text
    assert {file.name for file in tmp_path.glob("*.svg")} == {"method-forgetting.svg", "method-scales.svg"}
    assert "Not measured" not in text
    assert (text.startswith("before\n"), text.endswith("after\n")) == (True, True)


def test_equal_records_give_equal_files(tmp_path: pathlib.Path) -> None:
    texts = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "method.md").write_text(MARKERS)
        page.write(of(stored(Cell()), stored(Cell(scale=0.5))), folder / "method.md")
        texts.append([file.read_text() for file in sorted(folder.iterdir())])
    assert texts[0] == texts[1]


def test_the_page_says_what_was_not_measured() -> None:
    assert "6 of 15 of settings" in page.render(
        of(
            *(stored(one) for row in grid.rows()[:3] for one in row.cells),
        )
    )


def test_a_cell_that_failed_is_shown_with_its_words() -> None:
    assert "seed 0 | failed: loss is not finite |" in page.render(of(stored(Cell(), failure="loss is not finite")))


def test_every_claim_has_its_source_and_is_drawn_without_records() -> None:
    text = claims.render(of())
    assert text.count("not measured yet") == len(claims.CLAIMS)
    assert all(claim.source for claim in claims.CLAIMS)


def test_a_difference_is_of_the_same_questions() -> None:
    worse = Cell(way=Way.SETTING_1)
    found = of(stored(Cell(), right=0.8), stored(worse, right=0.3)).difference(Cell(), worse, NEW)
    assert found is not None
    assert (round(found.mean, 6), found.low > 0) == (0.5, True)


def test_seeds_of_which_one_side_is_missing_are_left_out_of_a_difference() -> None:
    other = dataclasses.replace(Cell(), family=Family(seed=1))
    found = of(stored(Cell()), stored(other), stored(Cell(replay=0))).difference(Cell(), Cell(replay=0), NEW)
    assert found is not None
    assert len(found.seeds) == 1


def test_the_newest_line_of_a_cell_counts_and_lines_of_another_shape_are_passed_over(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "cells.jsonl"
    records.append(file, stored(Cell(), right=0.1))
    with file.open("a") as lines:
        lines.write('{"cell": {"colour": "red"}}\nno JSON\n')
    records.append(file, stored(Cell(), right=0.9))
    assert records.read(file) == {Cell(): stored(Cell(), right=0.9)}


def test_cells_of_one_training_are_one_course() -> None:
    wanted = [Cell(), Cell(method=Method.LORA), Cell(scale=0.5), Cell(way=Way.TUNED), Cell(residual=Release.SECOND)]
    assert [len(course) for course in schedule.courses([*wanted, Cell()])] == [4, 1]


def test_nothing_begins_after_the_time(tmp_path: pathlib.Path) -> None:
    plan = schedule.Plan(courses=[(Cell(),)], root=tmp_path, workers=1, until=time.monotonic() - 1)
    assert list(schedule.run(plan)) == []


def test_the_grid_holds_every_factor_of_the_claims_and_begins_with_the_settings() -> None:
    factors = list(dict.fromkeys(row.factor for row in grid.rows()))
    assert factors[0] == "settings"
    assert len(factors) == 11
    assert {cell.family.size for row in grid.rows() for cell in row.cells} == set(cells.SIZES) - {"toy"}


def test_the_page_has_a_place_for_what_is_found() -> None:
    assert tables.replaced(page.PAGE.read_text(encoding="utf-8"), page.NAME, "x")
