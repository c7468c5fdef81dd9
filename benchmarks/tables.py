"""Markdown tables, and the place in docs/benchmarks.md where they are kept.

Each table lies between two markers that name it, so that a run replaces its own figures and
nothing else. Says on what machine and under which load they were taken, never whose it was.
"""

import datetime
import os
import pathlib
import platform
import re
from collections.abc import Sequence

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "benchmarks.md"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is text, the others are figures."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def circumstances(*, load: float) -> str:
    """Date, machine and load, as one line; `load` is the one-minute average before the first measurement."""
    busy = load > (os.cpu_count() or 1) / 4
    return f"Taken {today()} on {machine()}; load average at the start {load:.1f}" + (
        ": **the machine was not idle, so times are upper bounds; repeat them.**" if busy else "."
    )


def today() -> datetime.date:
    """In UTC."""
    return datetime.datetime.now(tz=datetime.UTC).date()


def machine() -> str:
    """Cores, memory and system, in a few words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    system = f"Linux {platform.release().partition('-')[0]}"
    return f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB, {system}, Python {platform.python_version()}"


def keep(name: str, text: str) -> None:
    """Replace what stands between the markers of this name."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(replaced(page, name, text), encoding="utf-8")


def replaced(page: str, name: str, text: str) -> str:
    """The page with new text between the markers of this name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", flags=re.DOTALL)
    if len(pattern.findall(page)) != 1:
        raise ValueError(f"{PAGE.name}: expected one pair of markers {begin} ... {end}")
    return pattern.sub(lambda _: f"{begin}\n{text}\n{end}", page)


def _processor() -> str:
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return name or platform.machine()
