"""Which cells are worth measuring: a centre and one factor at a time around it, the most important first.

A row of the page is one way over its seeds. Refuses to know how cells are measured.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.method.cells import Cell, Family, Release, Way
from modelrefresh.contract.vocabulary import Method

SEEDS = (0, 1, 2)
SCALES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
BUDGETS = (100_000, 300_000, 640_000)
"""The last one holds all there is."""
SETTINGS = (Way.SETTING_1, Way.SETTING_2)
SIZES = ("1M", "2M", "7M", "30M")
METHODS = (Method.FULL, Method.LORA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way, over its seeds."""

    factor: str
    label: str
    cells: tuple[Cell, ...]


def row(factor: str, label: str, cell: Cell, seeds: Sequence[int] = SEEDS) -> Row:
    """The cell with each of these seeds."""
    families = [dataclasses.replace(cell.family, seed=seed) for seed in seeds]
    return Row(factor=factor, label=label, cells=tuple(dataclasses.replace(cell, family=one) for one in families))


def rows() -> tuple[Row, ...]:
    """All of them, in the order in which they are measured and shown; sizes early, for one of them takes long."""
    factors = (_settings, _scales, _tuned, _budgets, _transfer, _sizes, _shapes, _replay, _embeddings, _ranks, _rates)
    return tuple(one for factor in factors for one in factor())


def _settings() -> Iterator[Row]:
    yield row("settings", "stock instruct model", Cell(way=Way.STOCK))
    for method in METHODS:
        for way in SETTINGS:
            yield row("settings", f"{way}, {method}", Cell(way=way, method=method))


def _budgets() -> Iterator[Row]:
    for method, seeds in ((Method.FULL, SEEDS), (Method.LORA, SEEDS[:1])):
        for budget in BUDGETS:
            for way in SETTINGS:
                cell = Cell(way=way, method=method, budget=budget)
                yield row("budgets", f"{budget // 1000}k tokens, {way}, {method}", cell, seeds)


def _scales() -> Iterator[Row]:
    for scale in SCALES:
        yield row("scales", f"scale {scale:g}, Full", Cell(scale=scale))
    for scale in SCALES:
        yield row("scales", f"scale {scale:g}, LoRA", Cell(scale=scale, method=Method.LORA), SEEDS[:1])


def _tuned() -> Iterator[Row]:
    yield row("tuning", "tuned again instead of the residual, Full", Cell(way=Way.TUNED))


def _replay() -> Iterator[Row]:
    for way in SETTINGS:
        yield row("replay", f"no replay, {way}, Full", Cell(way=way, replay=0))
    yield row("replay", "no replay, Setting 2, LoRA", Cell(method=Method.LORA, replay=0), SEEDS[:1])


def _transfer() -> Iterator[Row]:
    yield row("transfer", "stock instruct model of A'", Cell(way=Way.STOCK, start=Release.SECOND))
    for start in Release:
        for given in Release:
            cell = Cell(start=start, residual=given)
            yield row("transfer", f"{start} refreshed, residual of {given}", cell)


def _shapes() -> Iterator[Row]:
    family = Family(architecture="qwen2")
    yield row("Qwen2", "stock instruct model", Cell(family=family, way=Way.STOCK))
    for method, seeds in ((Method.FULL, SEEDS), (Method.LORA, SEEDS[:1])):
        for way in SETTINGS:
            yield row("Qwen2", f"{way}, {method}", Cell(family=family, way=way, method=method), seeds)


def _embeddings() -> Iterator[Row]:
    for architecture, seeds in (("llama", SEEDS), ("qwen2", SEEDS[:1])):
        for on in (False, True):
            cell = Cell(family=Family(architecture=architecture), method=Method.LORA, embeddings=on)
            yield row("embeddings", f"{architecture}, LoRA, embeddings {'trained' if on else 'frozen'}", cell, seeds)


def _ranks() -> Iterator[Row]:
    for rank in (4, 8, 32, 128):
        yield row("rank", f"LoRA of rank {rank}", Cell(method=Method.LORA, rank=rank), SEEDS[:1])


def _rates() -> Iterator[Row]:
    for rate in (0.25, 1.0, 3.0):
        for way in SETTINGS:
            yield row("rate", f"{rate:g} times the rate, {way}, Full", Cell(way=way, rate=rate), SEEDS[:1])


def _sizes() -> Iterator[Row]:
    for size in SIZES:
        family = Family(size=size)
        yield row("size", f"{size}, stock instruct model", Cell(family=family, way=Way.STOCK), SEEDS[:1])
        for way in SETTINGS:
            cell = Cell(family=family, way=way, budget=BUDGETS[0])
            yield row("size", f"{size}, {way}, {BUDGETS[0] // 1000}k tokens", cell, SEEDS[:1])
