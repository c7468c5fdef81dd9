"""Parsing of document dates.

Accepts ISO dates and times (also with " UTC" at their end, or as 14 digits), and numbers of seconds,
milliseconds, microseconds or nanoseconds since 1970 from the year 1973 on, as numbers or as text; smaller
numbers are years or counters. Without a zone a time is UTC. What cannot be expressed in UTC is no date, and
placeholders (9999-12-31, 0001-01-01) are not plausible. Reads no clock: the caller names the latest day.
"""

import datetime as dt
import math

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST, _UNITS = 1e8, (1, 1_000, 1_000_000, 1_000_000_000)
"""Seconds since 1970 in March 1973, and how many of each unit a second has."""
_DATE_DIGITS, _TIME_DIGITS = len("20260101"), len("20260101101112")


def parse(value: object) -> dt.datetime | None:
    """A date or time of a record as a time with zone UTC; None for anything else."""
    try:
        return _parsed(value)
    except (ValueError, OverflowError):
        return None


def is_plausible(date: dt.datetime, *, today: dt.date) -> bool:
    """Whether a document read on the day `today` can have this date: after year 1, and not after that day."""
    return date.year > dt.MINYEAR and date.date() <= today


def seconds(date: dt.datetime) -> int:
    """Whole seconds since 1970 UTC, rounded down."""
    return (date - EPOCH) // dt.timedelta(seconds=1)


def text(since_epoch: int) -> str:
    """ISO text, with its zone, of this many seconds since 1970 UTC."""
    return (EPOCH + dt.timedelta(seconds=since_epoch)).isoformat()


def _parsed(value: object) -> dt.datetime | None:
    if isinstance(value, str):
        value = _from_text(value.strip())
    elif isinstance(value, int | float) and not isinstance(value, bool):
        value = _from_number(value)
    elif isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    if not isinstance(value, dt.datetime):
        return None
    aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    return aware.astimezone(dt.UTC)


def _from_text(value: str) -> dt.datetime | None:
    # fromisoformat reads what follows eight digits as a time: milliseconds since 1970 would be a date in 1704.
    if value.isdecimal() and len(value) > _DATE_DIGITS:
        if len(value) != _TIME_DIGITS:
            return _from_number(int(value))
        value = f"{value[:_DATE_DIGITS]}T{value[_DATE_DIGITS:]}"
    return dt.datetime.fromisoformat(value.removesuffix(" UTC"))


def _from_number(value: float) -> dt.datetime | None:
    if not math.isfinite(value):
        return None
    unit = next((unit for unit in _UNITS if _FIRST <= value / unit < _FIRST * _UNITS[1]), None)
    return EPOCH + dt.timedelta(seconds=value // unit) if unit else None
