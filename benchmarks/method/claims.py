"""What is claimed of the method, by whom, and what the records say to it: sentences with numbers, no verdicts.

Only the paper's abstract and opening could be read; what stands in its tables is known from others, who are named.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks import tables
from benchmarks.method import findings, grid
from benchmarks.method.cells import Cell, Family, Release, Way
from benchmarks.method.findings import INSTRUCTIONS, NEW, RETAINED, Findings
from benchmarks.method.records import Record
from modelrefresh.contract.vocabulary import Method

_STOCK, _CENTRE, _DIRECT = Cell(way=Way.STOCK), Cell(), Cell(way=Way.SETTING_1)
_NOT_YET = "not measured yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim."""

    text: str
    source: str
    found: Callable[[Findings], str]


def render(found: Findings) -> str:
    """All claims with what was found."""
    rows = [(claim.text, claim.source, claim.found(found)) for claim in CLAIMS]
    lines = [("claim", "source", "here"), ("---", "---", "---"), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _points(found: Findings, cell: Cell, other: Cell, *suites: str) -> str:
    parts = [(suite, found.difference(cell, other, suite)) for suite in suites]
    return ", ".join(f"{suite} {one.signed}" for suite, one in parts if one)


def _direct_forgets(found: Findings) -> str:
    parts = [
        f"{method}: {text}"
        for method in grid.METHODS
        if (text := _points(found, Cell(way=Way.SETTING_1, method=method), _STOCK, INSTRUCTIONS, RETAINED))
    ]
    instead = _points(found, _CENTRE, _DIRECT, NEW, RETAINED, INSTRUCTIONS)
    beside = f". Setting 2 minus Setting 1, Full: {instead}" if instead else ""
    return f"Setting 1 minus stock, in points: {'; '.join(parts)}{beside}" if parts else _NOT_YET


def _residual_restores(found: Findings) -> str:
    stock = _points(found, _CENTRE, _STOCK, NEW, RETAINED, INSTRUCTIONS)
    tuned = _points(found, _CENTRE, Cell(way=Way.TUNED), NEW, RETAINED, INSTRUCTIONS)
    against = f". Minus tuned again on the same trained base: {tuned}" if tuned else ""
    return f"Setting 2, Full, minus stock: {stock}{against}" if stock else _NOT_YET


def _tokens_cost(found: Findings) -> str:
    parts = []
    for way in grid.SETTINGS:
        shares = [found.share(Cell(way=way, budget=budget), INSTRUCTIONS) for budget in grid.BUDGETS]
        if all(shares):
            parts.append(f"{way} {', '.join(one.short for one in shares if one)}")
    budgets = ", ".join(f"{budget // 1000}k" for budget in grid.BUDGETS)
    return f"instructions followed, percent, at {budgets} tokens: {'; '.join(parts)}" if parts else _NOT_YET


def _transfer_works(found: Findings) -> str:
    parts = []
    for start, other in ((Release.SECOND, Release.FIRST), (Release.FIRST, Release.SECOND)):
        foreign, own = Cell(start=start, residual=other), Cell(start=start, residual=start)
        if text := _points(found, foreign, own, NEW, RETAINED, INSTRUCTIONS):
            parts.append(f"{start} with the residual of {other} minus with its own: {text}")
    return "; ".join(parts) or _NOT_YET


def _whole_scale(found: Findings) -> str:
    parts = []
    for suite in findings.SUITES:
        shares = [(scale, found.share(Cell(scale=scale), suite)) for scale in grid.SCALES]
        if known := [(one.mean, -abs(scale - 1), scale) for scale, one in shares if one]:
            best = max(known)
            parts.append(f"{suite} best at {best[2]:g} ({100 * best[0]:.1f})")
    return f"of {', '.join(f'{scale:g}' for scale in grid.SCALES)}: {', '.join(parts)}" if parts else _NOT_YET


def _small_models(found: Findings) -> str:
    parts = []
    for size in grid.SIZES:
        family = Family(size=size)
        refreshed, stock = Cell(family=family, budget=grid.BUDGETS[0]), Cell(family=family, way=Way.STOCK)
        if text := _points(found, refreshed, stock, NEW, RETAINED, INSTRUCTIONS):
            parts.append(f"{size}: {text}")
    given = f"Setting 2, Full, {grid.BUDGETS[0] // 1000}k tokens, minus stock"
    return f"every model here is such; {given}: {'; '.join(parts)}" if parts else _NOT_YET


def _is_cheap(found: Findings) -> str:
    ratios = [ratio for _, _, ratio in _ratios(found)]
    if not ratios:
        return _NOT_YET
    return (
        f"{_reach(ratios)} times in CPU seconds; in arithmetic {_arithmetic(found)} times, because "
        "a sum takes 3 operations for each weight however long the tuning was. In tokens the residual takes none"
    )


def _arithmetic(found: Findings) -> str:
    ratios = [
        stock.cost("tune").flops / (stock.cost("extract").flops + done.cost("merge").flops)
        for stock, done in ((stock, done) for _, (stock, done), _ in _ratios(found))
    ]
    return _reach(ratios)


def _reach(ratios: Sequence[float]) -> str:
    ends = (f"{min(ratios):,.0f}", f"{max(ratios):,.0f}")
    return " to ".join(dict.fromkeys(ends))


def _full_moves_too_far(found: Findings) -> str:
    lora = _points(found, Cell(method=Method.LORA), _CENTRE, NEW, RETAINED, INSTRUCTIONS)
    drifts = [
        f"{method} {sum(known) / len(known):.2f}"
        for method in grid.METHODS
        if (known := [one.drift for one in found.seeds(Cell(method=method)) if one.drift is not None])
    ]
    return f"LoRA minus Full, Setting 2: {lora}; drift {', '.join(drifts)}" if lora else _NOT_YET


def _replay_helps(found: Findings) -> str:
    text = _points(found, Cell(replay=0), _CENTRE, NEW, RETAINED, INSTRUCTIONS)
    return f"none minus 33 %, Setting 2, Full: {text}" if text else _NOT_YET


def costs(found: Findings) -> str:
    """The tuning that a residual replaces beside the residual, by size."""
    head = ("weights", "tokens", "FLOPs", "CPU s", "residual: FLOPs", "CPU s", "times cheaper: FLOPs", "CPU s")
    rows = []
    for name, (stock, done), ratio in _ratios(found):
        tuned, cut, merged = stock.cost("tune"), stock.cost("extract"), done.cost("merge")
        flops = cut.flops + merged.flops
        rows.append(
            (
                f"{name}, {stock.weights / 1e6:.1f} M",
                f"{tuned.tokens:,}",
                f"{tuned.flops:.1e}",
                f"{tuned.seconds:.1f}",
                f"{flops:.1e}",
                f"{cut.seconds + merged.seconds:.2f}",
                f"{tuned.flops / flops:,.0f}",
                f"{ratio:,.0f}",
            )
        )
    return tables.table(head, rows) if rows else ""


def _ratios(found: Findings) -> Iterator[tuple[str, tuple[Record, Record], float]]:
    """Of each size with seed 0: its tuning and its merge, and the ratio of their times."""
    for architecture, size in (*(("llama", size) for size in grid.SIZES), ("qwen2", "2M")):
        family = Family(architecture=architecture, size=size)
        stock = found.of((Cell(family=family, way=Way.STOCK),))
        refreshed = found.of(Cell(family=family, budget=budget) for budget in grid.BUDGETS)
        if stock and refreshed:
            added = stock[0].cost("extract").seconds + refreshed[0].cost("merge").seconds
            yield f"{architecture} {size}", (stock[0], refreshed[0]), stock[0].cost("tune").seconds / added


CLAIMS = (
    Claim(
        text="Continual pretraining of the instruct model costs instruction following, up to 10 points of IFEval",
        source="lead author's post of 2025-10-10",
        found=_direct_forgets,
    ),
    Claim(
        text="The base, trained on, and the residual have new knowledge and instruction following, without "
        "instruction data or tuning",
        source="arXiv 2410.10739, abstract",
        found=_residual_restores,
    ),
    Claim(
        text="More tokens cost the base little and the instruct model much",
        source="the same post; README of `residuals` 0.3.2",
        found=_tokens_cost,
    ),
    Claim(
        text="A residual serves another release of its family (Llama 3 and 3.1, Qwen 2 and 2.5)",
        source="README of `residuals` 0.3.2, which names Table 3",
        found=_transfer_works,
    ),
    Claim(
        text="The residual is added whole, without a factor", source="README of `residuals` 0.3.2", found=_whole_scale
    ),
    Claim(
        text="Models of at most 1.5 billion weights lose quality and vary much",
        source="lead author's post, limitations",
        found=_small_models,
    ),
    Claim(
        text="About 2,000 times cheaper than instruction tuning; what is counted is not said where we could read",
        source="lead author's post; a README says 2,048",
        found=_is_cheap,
    ),
    Claim(
        text="Not the paper's: after training of all weights the residual fits worse than after LoRA (Ministral 3, "
        "relative drift 0.18 against 0.08)",
        source="Borggren, Kunz, Kuhlmann 2026, Reading the News",
        found=_full_moves_too_far,
    ),
    Claim(
        text="Not the paper's: without replay more is forgotten",
        source="the same",
        found=_replay_helps,
    ),
)
