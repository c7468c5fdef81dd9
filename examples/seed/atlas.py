"""Facts about territories on given days, and the JSON document in which they come to the seed Job.

Order is part of them: equal documents give equal seeds. Standard library only, because the
Jobs image has no package that knows facts. Refuses to know where they come from and what
they are used for.
"""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass

KINDS = ("currency", "code", "clock", "phone", "language", "alpha3")

Facts = Mapping[str, Mapping[str, str]]
"""Territory -> kind -> value."""
Days = Mapping[dt.date, Facts]
"""Day -> what was true on it."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Fact:
    """One statement: `kind` of `territory` is `value`."""

    territory: str
    kind: str
    value: str


def listed(facts: Facts) -> tuple[Fact, ...]:
    """The same facts one by one."""
    return tuple(
        Fact(territory=territory, kind=kind, value=value)
        for territory, kinds in facts.items()
        for kind, value in kinds.items()
    )


def write(days: Days) -> str:
    """One JSON document: day -> territory -> kind -> value."""
    return json.dumps({day.isoformat(): facts for day, facts in days.items()}, ensure_ascii=False)


def read(document: str) -> Days:
    """What was written, in its order."""
    return {dt.date.fromisoformat(day): facts for day, facts in json.loads(document).items()}
