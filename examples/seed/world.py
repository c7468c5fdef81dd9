"""Facts about the world's territories on a given day, as public reference data state them.

Knows the sources: CLDR (Babel) for currencies, languages and names, the tz database for
clocks, libphonenumber for telephone codes, ISO 3166 (pycountry) for territories. Only
unambiguous facts: a territory with two currencies or three time zones has no such fact.
Needs the packages of the extra `demo`, which the Jobs image lacks. Refuses to know what the
facts are used for.
"""

import datetime as dt
import importlib.resources
import re
import zoneinfo
from collections.abc import Iterator

import phonenumbers
import pycountry
from babel import Locale, languages, numbers

from examples.seed import atlas

ENGLISH = Locale("en")
MINUTES_PER_HOUR = 60


def on(day: dt.date) -> dict[str, dict[str, str]]:
    """Every unambiguous fact of every inhabited territory on that day, by its English name."""
    zones = _zones()
    return {
        _english(country.alpha_2): dict(_facts(country, day, zones.get(country.alpha_2, [])))
        for country in pycountry.countries
        if _inhabited(country.alpha_2)
    }


def document(*days: dt.date) -> str:
    """The facts of these days as the seed takes them."""
    return atlas.write({day: on(day) for day in days})


def _facts(country: object, day: dt.date, zones: list[str]) -> Iterator[tuple[str, str]]:
    alpha2 = str(getattr(country, "alpha_2"))  # noqa: B009 -- pycountry makes its attributes at run time
    currencies = numbers.get_territory_currencies(alpha2, day, day)
    if len(currencies) == 1:
        name = numbers.get_currency_name(currencies[0], locale=ENGLISH)
        yield "currency", re.sub(r"\s*\(.*\)", "", name)
        yield "code", currencies[0]
    if len(zones) == 1:
        yield "clock", _offset(zones[0], day.year)
    yield "phone", f"+{phonenumbers.country_code_for_region(alpha2)}"
    yield "language", ENGLISH.languages[_official_language(alpha2)]
    yield "alpha3", str(getattr(country, "alpha_3"))  # noqa: B009 -- the same


def _inhabited(alpha2: str) -> bool:
    return bool(phonenumbers.country_code_for_region(alpha2) and _official_language(alpha2))


def _official_language(alpha2: str) -> str:
    official = languages.get_official_languages(alpha2, de_facto=True)
    return official[0].split("_")[0] if official else ""


def _english(alpha2: str) -> str:
    return str(ENGLISH.territories[alpha2]).replace(".", "")


def _zones() -> dict[str, list[str]]:
    """Time zones by territory, from the tzdata package: the machine's own files may be of another year."""
    zoneinfo.reset_tzpath(to=[])
    table = importlib.resources.files("tzdata").joinpath("zoneinfo/zone.tab").read_text(encoding="utf-8")
    zones: dict[str, list[str]] = {}
    for line in table.splitlines():
        if line and not line.startswith("#"):
            alpha2, _, zone = line.split("\t")[:3]
            zones.setdefault(alpha2, []).append(zone)
    return zones


def _offset(zone: str, year: int) -> str:
    """Clock offset of that year's January."""
    january = dt.datetime(year, 1, 15, tzinfo=zoneinfo.ZoneInfo(zone))
    offset = january.utcoffset() or dt.timedelta()
    minutes = int(offset.total_seconds()) // 60
    sign = "-" if minutes < 0 else "+"
    return f"UTC{sign}{abs(minutes) // MINUTES_PER_HOUR:02d}:{abs(minutes) % MINUTES_PER_HOUR:02d}"
