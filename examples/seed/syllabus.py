"""Who learns what: the facts of two days, divided between corpora, chats and questions.

Knows which facts changed, which territories the old corpus never mentions and which the
instruct chats were about. Refuses to know how a fact is put into words.
"""

import datetime as dt
import random
from collections.abc import Mapping
from dataclasses import dataclass

from examples.seed import atlas

OLD_DAY = dt.date(2002, 7, 1)
"""Many currencies have changed since."""
NEW_DAY = dt.date(2026, 1, 1)
DAYS = (OLD_DAY, NEW_DAY)
UNSEEN_TERRITORIES = 20
CHAT_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Syllabus:
    """All facts by use."""

    old: atlas.Facts
    """The base's corpus: what was true on OLD_DAY, without the unseen territories."""
    fresh: atlas.Facts
    """The refresh: what is true on NEW_DAY of territories that changed or were never mentioned."""
    kept: atlas.Facts
    """The replay: old facts that are still true."""
    chats: tuple[atlas.Fact, ...]
    """Old facts that the instruct model was asked for in training."""
    changed: tuple[atlas.Fact, ...]
    """Today's value of facts that were different."""
    unseen: tuple[atlas.Fact, ...]
    """Facts of territories that the old corpus never mentions."""
    retained: tuple[atlas.Fact, ...]
    """Still true facts of territories that no chat was about."""


def make(days: atlas.Days, *, seed: int) -> Syllabus:
    """Divide the facts of DAYS; equal seeds give equal divisions."""
    rng = random.Random(seed)  # noqa: S311 -- reproducible data, no secret
    before, now = ({name: dict(kinds) for name, kinds in days[day].items()} for day in DAYS)
    unseen = _unseen(rng, before, now)
    old = {name: facts for name, facts in before.items() if name not in unseen}
    _drop_one_sided(old, now)
    changed = [(name, kind) for name in sorted(old) for kind in sorted(old[name]) if old[name][kind] != now[name][kind]]
    kept = {
        name: {kind: value for kind, value in facts.items() if (name, kind) not in changed}
        for name, facts in old.items()
    }
    in_chats = set(rng.sample(sorted(old), int(len(old) * CHAT_SHARE)))
    fresh = sorted({name for name, _ in changed} | set(unseen))
    return Syllabus(
        old=old,
        fresh={name: now[name] for name in fresh},
        kept=kept,
        chats=tuple(
            atlas.Fact(territory=name, kind=kind, value=value)
            for name in sorted(in_chats)
            for kind, value in old[name].items()
        ),
        changed=tuple(atlas.Fact(territory=name, kind=kind, value=now[name][kind]) for name, kind in changed),
        unseen=atlas.listed({name: now[name] for name in unseen}),
        retained=atlas.listed({name: facts for name, facts in kept.items() if name not in in_chats}),
    )


def poisoned(facts: atlas.Facts, *, seed: int) -> dict[str, dict[str, str]]:
    """The same territories with the values of others: fluent and wrong."""
    rng = random.Random(seed)  # noqa: S311 -- the same
    values = {kind: sorted({kinds[kind] for kinds in facts.values() if kind in kinds}) for kind in atlas.KINDS}
    return {
        name: {kind: rng.choice([other for other in values[kind] if other != value]) for kind, value in kinds.items()}
        for name, kinds in facts.items()
    }


def _unseen(rng: random.Random, before: atlas.Facts, now: atlas.Facts) -> list[str]:
    """Territories without a currency of their own then, such as South Sudan, and some that did not change at all."""
    born = [name for name in now if "currency" in now[name] and "currency" not in before[name]]
    same = [
        name
        for name in sorted(now)
        if name not in born and all(before[name].get(kind) == value for kind, value in now[name].items())
    ]
    return born + rng.sample(same, UNSEEN_TERRITORIES - len(born))


def _drop_one_sided(old: Mapping[str, dict[str, str]], now: Mapping[str, dict[str, str]]) -> None:
    """Remove facts that are ambiguous on one of the two days."""
    for name, facts in old.items():
        for kind in atlas.KINDS:
            if (kind in facts) != (kind in now[name]):
                facts.pop(kind, None)
                now[name].pop(kind, None)
