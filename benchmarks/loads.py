"""The operator's figures as tables: one column for each load, one row for each figure.

Only divides and rounds; what the figures mean is for docs/benchmarks.md.
"""

from collections.abc import Callable, Sequence

from benchmarks import measured, tables
from benchmarks.process import Reading
from benchmarks.refreshing import Figures
from modelrefresh.kube import kinds

_Cell = Callable[[Figures], str]


def render(runs: Sequence[Figures]) -> str:
    """All tables."""
    return "\n\n".join(
        f"{title}\n\n{_table(rows, [run for run in runs if wanted(run)])}"
        for title, rows, wanted in (
            ("All objects come at once, to the first Job of each:", _ARRIVAL, lambda _: True),
            ("Single objects come while all the others wait:", _SINGLE, lambda run: bool(run.probes)),
            ("A whole refresh, with the Jobs ending at once:", _WHOLE, lambda run: run.later is not None),
            ("Rest:", _REST, lambda run: run.rest is not None),
        )
        if any(wanted(run) for run in runs)
    )


def _table(rows: Sequence[tuple[str, _Cell]], runs: Sequence[Figures]) -> str:
    head = ["", *(f"{run.load.objects:,} objects, {run.load.rate} writes/s allowed" for run in runs)]
    return tables.table(head, [[name, *(cell(run) for run in runs)] for name, cell in rows])


def _seconds(values: Sequence[float], share: float) -> str:
    return f"{measured.quantile(values, share):.2f} s"


def _events(reading: Reading) -> float:
    return sum(count for (verb, kind), count in reading.requests.items() if verb != "get" and kind == kinds.EVENT.kind)


def _writes(reading: Reading | None, objects: int) -> str:
    assert reading is not None, "a table asks for a phase that was left out"
    return f"{(reading.writes - _events(reading)) / objects:.1f} + {_events(reading) / objects:.1f} events"


def _per(amount: float, objects: int) -> str:
    return f"{amount / objects:.1f}"


def _all(run: Figures) -> int:
    return run.load.objects + len(run.probes)


def _later(run: Figures) -> Reading:
    assert run.later is not None, "a table asks for a phase that was left out"
    return run.later


def _resting(reading: Reading | None, run: Figures) -> str:
    if reading is None:
        return ""
    seconds = run.load.rest_seconds
    return (
        f"{reading.writes:.0f} writes, {reading.reads / seconds:.1f} reads/s, {100 * reading.cpu / seconds:.1f} % CPU"
    )


_ARRIVAL: Sequence[tuple[str, _Cell]] = (
    ("namespaces", lambda run: str(run.load.namespaces)),
    ("first Job, p50", lambda run: _seconds(run.delays, 0.5)),
    ("first Job, p99", lambda run: _seconds(run.delays, 0.99)),
    ("first Jobs per second", lambda run: f"{len(run.delays) / run.arrival_seconds:.1f}"),
    ("writes for each", lambda run: _writes(run.arrival, run.load.objects)),
    ("passes for each", lambda run: _per(run.arrival.passes, run.load.objects)),
    ("operator's CPU for each", lambda run: f"{1000 * run.arrival.cpu / run.load.objects:.0f} ms"),
    ("operator's resident memory", lambda run: f"{run.arrival.resident / measured.MB:.0f} MB"),
)
_SINGLE: Sequence[tuple[str, _Cell]] = (
    ("objects, one after the other", lambda run: str(len(run.probes))),
    ("first Job, p50", lambda run: _seconds(run.probes, 0.5)),
    ("first Job, p99", lambda run: _seconds(run.probes, 0.99)),
)
_WHOLE: Sequence[tuple[str, _Cell]] = (
    ("writes of the first, after its first Job", lambda run: _writes(run.first, _all(run))),
    ("writes of a later one", lambda run: _writes(run.later, _all(run))),
    ("reads of a later one", lambda run: _per(_later(run).reads, _all(run))),
    ("passes of a later one", lambda run: _per(_later(run).passes, _all(run))),
    ("operator's CPU for a later one", lambda run: f"{1000 * _later(run).cpu / _all(run):.0f} ms"),
    ("later ones per second", lambda run: f"{_all(run) / run.later_seconds:.1f}"),
)
_REST: Sequence[tuple[str, _Cell]] = (
    ("seconds", lambda run: f"{run.load.rest_seconds:.0f}"),
    ("every run waits for a Job", lambda run: _resting(run.waiting, run)),
    ("no run is open", lambda run: _resting(run.rest, run)),
    (
        "operator's resident memory at the end",
        lambda run: f"{run.rest.resident / measured.MB:.0f} MB" if run.rest else "",
    ),
)
