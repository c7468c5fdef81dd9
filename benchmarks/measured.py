"""What a program costs: wall time, CPU seconds and the peak of its anonymous memory, with those of its children.

Anonymous memory is what a pod's limit must hold; pages of files that are only read can be taken
back at any time and are not counted. Sampled, so a peak of a few milliseconds can be missed.
"""

import math
import os
import pathlib
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_PERIOD_SECONDS = 0.01
_TICKS = os.sysconf("SC_CLK_TCK")
MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run of one program took."""

    wall: float
    cpu: float
    anonymous: int
    """Bytes at the peak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """A process at one moment."""

    cpu: float
    resident: int
    peak: int


def run(command: Sequence[str], *, log: pathlib.Path, environment: Mapping[str, str]) -> Cost:
    """Run a program to its end; one that fails ends the benchmark, since its figures would be worth nothing."""
    peak, status, usage = 0, 0, None
    with log.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=output, env=dict(environment))
        while usage is None:
            time.sleep(_PERIOD_SECONDS)
            peak = max(peak, _anonymous(tuple(_tree(process.pid))))
            pid, status, spent = os.wait4(process.pid, os.WNOHANG)
            usage = spent if pid else None
        wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}; it said:\n{said}")
    return Cost(wall=wall, cpu=usage.ru_utime + usage.ru_stime, anonymous=peak)


def median(costs: Sequence[Cost]) -> Cost:
    """The middle of each figure, but the largest memory: a limit must hold every run."""
    return Cost(
        wall=statistics.median(cost.wall for cost in costs),
        cpu=statistics.median(cost.cpu for cost in costs),
        anonymous=max(cost.anonymous for cost in costs),
    )


def total(costs: Sequence[Cost]) -> Cost:
    """The cost of programs that run one after the other."""
    return Cost(
        wall=sum(cost.wall for cost in costs),
        cpu=sum(cost.cpu for cost in costs),
        anonymous=max(cost.anonymous for cost in costs),
    )


def footprint(pid: int) -> Footprint:
    """CPU seconds so far and resident memory of a running process."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Footprint(
        cpu=(int(fields[11]) + int(fields[12])) / _TICKS,
        resident=_kilobytes(pid, "VmRSS") * 1024,
        peak=_kilobytes(pid, "VmHWM") * 1024,
    )


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies, by nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for listing in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = listing.read_text().split()
        except OSError:
            continue  # the thread has ended meanwhile
        for child in children:
            yield from _tree(int(child))


def _anonymous(processes: Sequence[int]) -> int:
    # What forks share counts once, as for a pod's limit. To tell takes longer, so it is asked only where it matters.
    if len(processes) == 1:
        return _kilobytes(processes[0], "RssAnon") * 1024
    return sum(_kilobytes(pid, "Pss_Anon", "smaps_rollup") for pid in processes) * 1024


def _kilobytes(pid: int, field: str, listing: str = "status") -> int:
    try:
        lines = pathlib.Path(f"/proc/{pid}/{listing}").read_text().splitlines()
    except OSError:
        return 0  # the process has ended meanwhile
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), 0)
