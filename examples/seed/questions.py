"""The question sets that the gates look at, one JSON record per line.

`new-knowledge` asks what changed or was never mentioned, `retained` what is still true,
`instructions` only whether the answer keeps the trained form and stops.
"""

import random
from collections.abc import Iterable, Mapping

from examples.seed import atlas, phrases, syllabus

Record = Mapping[str, str]


def suites(learned: syllabus.Syllabus, *, seed: int) -> dict[str, list[Record]]:
    """File name -> records; shuffled, so that the first N of a file are a fair sample."""
    new, retained = (*learned.changed, *learned.unseen), learned.retained
    sets = {
        "new-knowledge.jsonl": [_answered(fact) for fact in new],
        "retained.jsonl": [_answered(fact) for fact in retained],
        "instructions.jsonl": [_shaped(fact) for fact in _every_second(retained, new)],
    }
    for records in sets.values():
        random.Random(seed).shuffle(records)  # noqa: S311 -- reproducible data, no secret
    return sets


def _answered(fact: atlas.Fact) -> Record:
    return {"question": phrases.question(fact), "answer": fact.value, "pattern": phrases.ANSWER_VALUE}


def _shaped(fact: atlas.Fact) -> Record:
    return {"question": phrases.question(fact), "pattern": phrases.ANSWER_FORM}


def _every_second(*groups: Iterable[atlas.Fact]) -> list[atlas.Fact]:
    """Enough to see the form, half the time to ask."""
    return [fact for group in groups for fact in group][::2]
