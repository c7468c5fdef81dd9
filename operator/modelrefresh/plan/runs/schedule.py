"""Ticks of a cron schedule: the newest one that has passed, and the next one.

Only the newest missed tick counts: an operator that was away for a week opens one run. What is announced
and what is due are one sequence, walked forwards: walked backwards, cron gives other times where clocks are
put back.
"""

import datetime
import zoneinfo
from collections.abc import Iterator
from typing import Final

import cronsim

from modelrefresh.api.spec import Triggers

_LEAD: Final = datetime.timedelta(hours=6)
"""Where a walk begins, before the first moment of interest: outside of any hours that a clock has repeated."""
_FIRST_LOOK: Final = datetime.timedelta(hours=1)


def last_tick(triggers: Triggers, *, since: datetime.datetime, now: datetime.datetime) -> datetime.datetime | None:
    """The newest tick in (since, now], or None."""
    look = _FIRST_LOOK
    while triggers.schedule is not None and since < now:
        # Most often the newest tick is near; how many there were before it does not matter.
        start = max(since, now - look)
        newest = None
        for tick in _ticks(triggers.schedule, triggers.time_zone, after=start):
            if tick > now:
                break
            newest = tick
        if newest is not None or start == since:
            return newest
        look *= 4
    return None


def next_tick(triggers: Triggers, *, now: datetime.datetime) -> datetime.datetime | None:
    """The first tick after now, or None without one."""
    if triggers.schedule is None:
        return None
    return next(_ticks(triggers.schedule, triggers.time_zone, after=now), None)


def _ticks(schedule: str, zone: str, *, after: datetime.datetime) -> Iterator[datetime.datetime]:
    """All ticks after a moment, in UTC and in order."""
    for tick in cronsim.CronSim(schedule, (after - _LEAD).astimezone(zoneinfo.ZoneInfo(zone))):
        utc = tick.astimezone(datetime.UTC)
        if utc > after:
            after = utc
            yield utc
