"""Both figures of docs/method.md, as SVG on a white ground that is read on dark pages too.

Draws what is there and leaves out what is not; equal records give equal files.
"""

import pathlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.method import findings, grid
from benchmarks.method.cells import Cell, Way
from benchmarks.method.findings import INSTRUCTIONS, NEW, RETAINED, Findings, Share
from modelrefresh.contract.vocabulary import Method

_COLOURS = {Way.SETTING_1: "#D55E00", Way.SETTING_2: "#0072B2"}
_SUITES = {NEW: "#009E73", RETAINED: "#CC79A7", INSTRUCTIONS: "#0072B2"}
"""Colours that people with any colour vision tell apart (Okabe and Ito 2008)."""
_DASHES = {Method.FULL: "-", Method.LORA: "--"}
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "method", "font.size": 9.5, "axes.grid": True, "grid.alpha": 0.3}
_MARKS = (4, 6.5, 9)
"""Sizes of the points, by budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One figure."""

    file: pathlib.Path
    says: str


def draw(found: Findings, folder: pathlib.Path) -> tuple[Picture, ...]:
    """Both figures, as files of this folder."""
    budgets = ", ".join(f"{budget // 1000}k" for budget in grid.BUDGETS)
    forgetting = Picture(
        file=folder / "method-forgetting.svg",
        says=f"What is learnt and what is lost, for {budgets} tokens (larger points are more tokens; means over "
        "seeds with 95 % intervals over questions, single seeds faint; LoRA one seed).",
    )
    scales = Picture(
        file=folder / "method-scales.svg",
        says="How much of the residual is added, Setting 2 (Full: means over seeds with 95 % intervals over "
        "questions; LoRA one seed, broken).",
    )
    with mpl.rc_context(_STYLE):
        _save(_forgetting(found), forgetting.file)
        _save(_scales(found), scales.file)
    return (forgetting, scales)


def _save(figure: Figure, file: pathlib.Path) -> None:
    figure.savefig(file, metadata={"Date": None, "Creator": None})


def _forgetting(found: Findings) -> Figure:
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    for axes, suite in zip(figure.subplots(1, 2), (RETAINED, INSTRUCTIONS), strict=True):
        for method in grid.METHODS:
            for way in grid.SETTINGS:
                _path(axes, found, Cell(way=way, method=method), suite)
        stock = Cell(way=Way.STOCK)
        if (known := found.share(stock, NEW)) and (kept := found.share(stock, suite)):
            axes.plot(100 * known.mean, 100 * kept.mean, "X", color="#555555", markersize=8, label="stock")
        axes.set(xlim=(-3, 103), ylim=(-3, 103), xlabel=f"{NEW}, % right")
        axes.set_ylabel(f"{suite}, % {'followed' if suite == INSTRUCTIONS else 'right'}")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    return figure


def _path(axes: Any, found: Findings, cell: Cell, suite: str) -> None:  # noqa: ANN401 -- matplotlib's own
    """From few tokens to many, in the plane of what is learnt and what is kept."""
    seeds = grid.SEEDS if cell.method is Method.FULL else grid.SEEDS[:1]
    places = []
    for size, budget in zip(_MARKS, grid.BUDGETS, strict=True):
        asked = Cell(way=cell.way, method=cell.method, budget=budget)
        known, kept = (found.share(asked, one, seeds) for one in (NEW, suite))
        if known and kept:
            places.append((known, kept, size))
    colour, label = _COLOURS[cell.way], f"{cell.way}, {cell.method}"
    line = ([100 * known.mean for known, _, _ in places], [100 * kept.mean for _, kept, _ in places])
    axes.plot(*line, color=colour, linestyle=_DASHES[cell.method], label=label if places else None)
    for known, kept, size in places:
        filled = colour if cell.method is Method.FULL else "white"
        bars = {"xerr": _reach(known), "yerr": _reach(kept), "elinewidth": 0.8}
        axes.errorbar(100 * known.mean, 100 * kept.mean, fmt="o", color=colour, mfc=filled, markersize=size, **bars)
        if len(known.seeds) > 1:
            single = ([100 * one for one in known.seeds], [100 * one for one in kept.seeds])
            axes.plot(*single, ".", color=colour, alpha=0.35, markersize=5)


def _reach(share: Share) -> Sequence[Sequence[float]]:
    return [[100 * (share.mean - share.low)], [100 * (share.high - share.mean)]]


def _scales(found: Findings) -> Figure:
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for method in grid.METHODS:
        seeds = grid.SEEDS if method is Method.FULL else grid.SEEDS[:1]
        for suite, colour in _SUITES.items():
            shares = [(scale, found.share(Cell(method=method, scale=scale), suite, seeds)) for scale in grid.SCALES]
            known = [(scale, share) for scale, share in shares if share]
            across, means = [scale for scale, _ in known], [100 * share.mean for _, share in known]
            label = suite if method is Method.FULL and known else None
            axes.plot(across, means, color=colour, linestyle=_DASHES[method], marker="o", markersize=4, label=label)
            if method is Method.FULL:
                ends = [[100 * share.low for _, share in known], [100 * share.high for _, share in known]]
                axes.fill_between(across, *ends, color=colour, alpha=0.18, linewidth=0)
    axes.set(ylim=(-3, 103), xlabel="scale of the residual", ylabel="% of the questions")
    if any(label for label in axes.get_legend_handles_labels()[1]):
        figure.legend(loc="outside lower center", ncols=len(findings.SUITES), frameon=False)
    return figure
