"""Ticks of a schedule: which one counts, and when the next one comes."""

import datetime
import random
import zoneinfo

import pytest

from modelrefresh.api.spec import Triggers
from modelrefresh.plan.runs import schedule

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


EXPRESSIONS = (
    "*/30 * * * *", "0 * * * *", "15 */2 * * *", "30 2 * * *", "0 0 * * *", "45 1 * * *", "0 3 * * 0",
    "10,40 1-3 * * *",
)  # fmt: skip
"""Every half hour, hourly, at several hours, daily and weekly, around the hours at which clocks are put."""
YEARS = (1995, 2010, 2026)
DAY = datetime.timedelta(days=1)


def transitions(zone: str, year: int) -> list[tuple[datetime.datetime, datetime.timedelta]]:
    """The moments of a year when clocks are put, in UTC to the minute, and by how much."""
    at = datetime.datetime(year, 1, 1, tzinfo=datetime.UTC)
    place = zoneinfo.ZoneInfo(zone)
    found = []
    for low in (at + number * 5 * DAY for number in range(73)):
        first, last = low, low + 5 * DAY
        moved = offset(last, place) - offset(first, place)
        while moved and last - first > datetime.timedelta(minutes=1):
            middle = first + (last - first) // 2
            first, last = (first, middle) if offset(middle, place) != offset(first, place) else (middle, last)
        found += [(last, moved)] if moved else []
    return found


def offset(moment: datetime.datetime, zone: zoneinfo.ZoneInfo) -> datetime.timedelta:
    """The zone's difference to UTC."""
    found = moment.astimezone(zone).utcoffset()
    assert found is not None
    return found


def kinds_of_transitions() -> list[tuple[str, datetime.datetime]]:
    """One for every (shift, hour) that any zone has had in these years."""
    found: dict[tuple[datetime.timedelta, str], tuple[str, datetime.datetime]] = {}
    for zone in sorted(zone for zone in zoneinfo.available_timezones() if "/" in zone):
        for year in YEARS:
            for moment, moved in transitions(zone, year):
                clock = f"{moment.astimezone(zoneinfo.ZoneInfo(zone)):%H}"
                found.setdefault((moved, clock), (zone, moment))
    return sorted(found.values())


def test_what_is_announced_is_due_and_nothing_else_wherever_clocks_are_put() -> None:
    chance, places = random.Random(26), kinds_of_transitions()  # noqa: S311 -- seeded, guards nothing
    assert len(places) > 20
    for zone, moment in places:
        for expression in EXPRESSIONS:
            agree(Triggers(schedule=expression, time_zone=zone), around=moment, chance=chance)


def agree(triggers: Triggers, *, around: datetime.datetime, chance: random.Random) -> None:
    """Whatever is announced at any moment is found by whoever looks at any later moment, once, and nothing else is."""
    start, end = around - DAY / 3, around + DAY / 4
    announced, now = [], start
    while (tick := schedule.next_tick(triggers, now=now)) is not None and tick <= end:
        assert tick > now
        announced.append(tick)
        now = tick
    for _ in range(3):
        looked = around + datetime.timedelta(minutes=chance.randrange(-150, 150), seconds=chance.randrange(60))
        later = [tick for tick in announced if tick > looked]
        assert not later or schedule.next_tick(triggers, now=looked) == later[0], (triggers, looked)
        since = max(start, looked - datetime.timedelta(minutes=chance.randrange(1, 600)))
        due = [tick for tick in announced if since < tick <= looked]
        assert schedule.last_tick(triggers, since=since, now=looked) == (due[-1] if due else None), (triggers, looked)


@pytest.mark.parametrize(
    ("zone", "day"),
    [("Europe/Berlin", "2026-10-24"), ("America/New_York", "2026-10-31"), ("Australia/Lord_Howe", "2026-04-04")],
)
def test_every_half_hour_of_a_night_with_a_repeated_hour_is_announced_and_due(zone: str, day: str) -> None:
    triggers = Triggers(schedule="*/30 * * * *", time_zone=zone)
    now = datetime.datetime.fromisoformat(f"{day}T12:00:00+00:00")
    for _ in range(48):
        tick = schedule.next_tick(triggers, now=now)
        assert tick == now + datetime.timedelta(minutes=30)
        assert schedule.last_tick(triggers, since=now, now=tick) == tick
        now = tick


def test_the_newest_tick_is_found_however_long_nobody_looked() -> None:
    yearly = Triggers(schedule="0 3 1 1 *")
    tick = schedule.last_tick(yearly, since=MONDAY - 3000 * DAY, now=MONDAY)
    assert tick == datetime.datetime(2026, 1, 1, 3, 0, tzinfo=datetime.UTC)
    assert schedule.last_tick(Triggers(schedule="0 3 29 2 *"), since=MONDAY - 300 * DAY, now=MONDAY) is None
