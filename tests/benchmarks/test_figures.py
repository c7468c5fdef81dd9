"""The benchmark's own arithmetic: figures nobody checks are worse than none."""

import os
import pathlib
import sys

import pytest

from benchmarks import checkpoints, loads, measured, merging, scene, tables
from benchmarks.measured import Cost
from benchmarks.process import Reading, spent
from benchmarks.refreshing import Figures, Load


def reading(*, writes: int = 0, events: int = 0, reads: int = 0) -> Reading:
    """What an operator has done."""
    requests = {("put_status", "ModelRefresh"): writes, ("create", "Event"): events, ("list", "Job"): reads}
    return Reading(requests=requests, passes=1, cpu=0.5, resident=80_000_000)


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_a_quantile_is_one_of_the_values(share: float, value: int) -> None:
    assert measured.quantile(range(100, 0, -1), share) == value


def test_memory_and_time_of_a_program_are_seen(tmp_path: pathlib.Path) -> None:
    code = "import time; held = bytearray(50_000_000); held[::1000] = b'1' * 50_000; time.sleep(0.5)"
    cost = measured.run((sys.executable, "-c", code), log=tmp_path / "log", environment=os.environ)
    assert cost.anonymous > 45_000_000
    assert cost.wall >= 0.5


def test_a_program_that_fails_ends_the_benchmark_with_its_words(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        measured.run((sys.executable, "-c", "raise SystemExit('no such thing')"), log=tmp_path / "log", environment={})


def test_a_median_takes_the_middle_time_and_the_largest_memory() -> None:
    costs = [Cost(wall=wall, cpu=1.0, anonymous=memory) for wall, memory in ((3.0, 1), (1.0, 9), (2.0, 5))]
    assert measured.median(costs) == Cost(wall=2.0, cpu=1.0, anonymous=9)


def test_what_was_spent_is_the_difference_of_two_readings() -> None:
    taken = spent(reading(writes=3, events=1, reads=10), reading(writes=8, events=2, reads=30))
    assert (taken.writes, taken.reads) == (6, 20)


def test_only_the_text_between_the_markers_is_replaced() -> None:
    page = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb <!-- y: begin --> <!-- y: end -->"
    assert tables.replaced(page, "x", "new \\1") == page.replace("old", "new \\1")


def test_a_page_without_the_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one pair of markers"):
        tables.replaced("nothing", "x", "new")


def test_a_machine_that_was_busy_is_told_of() -> None:
    assert "not idle" in tables.circumstances(load=50.0)
    assert "not idle" not in tables.circumstances(load=0.0)


def test_the_page_has_a_place_for_every_table() -> None:
    page = tables.PAGE.read_text(encoding="utf-8")
    assert all(tables.replaced(page, name, "") != page for name in ("merge", "operator"))


def test_places_are_dealt_out_evenly() -> None:
    spaces = [place.namespace for place in scene.places(100, namespaces=5)]
    assert {spaces.count(space) for space in spaces} == {20}


def test_events_are_told_apart_from_other_writes() -> None:
    run = Figures(
        load=Load(objects=2, namespaces=1, rate=20),
        arrival=reading(writes=8, events=2),
        delays=[1.0, 3.0],
        arrival_seconds=4.0,
    )
    text = loads.render([run])
    assert "| writes for each | 4.0 + 1.0 events |" in text
    assert "| first Jobs per second | 0.5 |" in text
    assert "Rest" not in text


def test_a_shape_has_about_the_wanted_weights() -> None:
    assert checkpoints.shape(550_000_000).parameters == pytest.approx(550_000_000, rel=0.1)


def test_a_small_merge_is_measured_and_exact() -> None:
    text = merging.render(merging.run(checkpoints.SMALL, rounds=1, others=False))
    assert "| ModelRefresh, merge |" in text
    assert "| 0.00 % |" in text
