"""Ticks of a schedule: which one counts, and when the next one comes."""

import datetime

import pytest

from modelrefresh.api.spec import Triggers
from modelrefresh.plan import schedule

MONDAY = datetime.datetime(2026, 11, 23, 5, 0, tzinfo=datetime.UTC)
SUNDAYS_AT_THREE = Triggers(schedule="0 3 * * 0")


def test_without_a_schedule_there_is_no_tick() -> None:
    assert schedule.last_tick(Triggers(), since=MONDAY, now=MONDAY + datetime.timedelta(days=90)) is None
    assert schedule.next_tick(Triggers(), now=MONDAY) is None


def test_only_the_newest_missed_tick_counts() -> None:
    tick = schedule.last_tick(SUNDAYS_AT_THREE, since=MONDAY - datetime.timedelta(days=30), now=MONDAY)
    assert tick == datetime.datetime(2026, 11, 22, 3, 0, tzinfo=datetime.UTC)


def test_a_tick_that_was_handled_does_not_count_again() -> None:
    handled = datetime.datetime(2026, 11, 22, 3, 0, tzinfo=datetime.UTC)
    assert schedule.last_tick(SUNDAYS_AT_THREE, since=handled, now=MONDAY) is None


def test_a_tick_counts_at_its_very_second() -> None:
    tick = datetime.datetime(2026, 11, 29, 3, 0, tzinfo=datetime.UTC)
    assert schedule.last_tick(SUNDAYS_AT_THREE, since=MONDAY, now=tick) == tick


@pytest.mark.parametrize(("zone", "hour"), [("Etc/UTC", 3), ("Europe/Prague", 2), ("America/New_York", 8)])
def test_the_schedule_is_read_in_its_time_zone(zone: str, hour: int) -> None:
    following = schedule.next_tick(Triggers(schedule="0 3 * * 0", time_zone=zone), now=MONDAY)
    assert following == datetime.datetime(2026, 11, 29, hour, 0, tzinfo=datetime.UTC)


def test_a_clock_that_jumped_back_gives_no_tick() -> None:
    assert schedule.last_tick(SUNDAYS_AT_THREE, since=MONDAY, now=MONDAY - datetime.timedelta(days=30)) is None
