"""Whether a run is due, and when the next one will be.

Triggers in order of strength: first sight, changed inputs, a new annotation token, a
schedule tick. Only the newest missed tick counts: an operator that was away for a week opens one run.
"""

import datetime
import zoneinfo

import cronsim

from modelrefresh.api.spec import Triggers


def last_tick(triggers: Triggers, *, since: datetime.datetime, now: datetime.datetime) -> datetime.datetime | None:
    """The newest tick in (since, now], or None."""
    if triggers.schedule is None or since >= now:
        return None
    zone = zoneinfo.ZoneInfo(triggers.time_zone)
    tick = next(cronsim.CronSim(triggers.schedule, now.astimezone(zone) + datetime.timedelta(seconds=1), reverse=True))
    utc: datetime.datetime = tick.astimezone(datetime.UTC)
    return utc if utc > since else None


def next_tick(triggers: Triggers, *, now: datetime.datetime) -> datetime.datetime | None:
    """The first tick after now, or None without a schedule."""
    if triggers.schedule is None:
        return None
    zone = zoneinfo.ZoneInfo(triggers.time_zone)
    utc: datetime.datetime = next(cronsim.CronSim(triggers.schedule, now.astimezone(zone))).astimezone(datetime.UTC)
    return utc
