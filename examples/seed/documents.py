"""Facts as plain-text documents: a few facts of one territory, in random order and wording.

About a third of the facts stand there as a question with its value, as on a page of
frequent questions: a base that has met questions fits the instruction residual better.
No document has the chat form. Refuses to know which facts are true.
"""

import random

from examples.seed import atlas, phrases

MOST_FACTS = 6
FEWEST_FACTS = 3
QUESTION_SHARE = 0.35


def write(facts: atlas.Facts, *, per_territory: int, seed: int) -> list[str]:
    """So many shuffled documents about each territory."""
    rng = random.Random(seed)  # noqa: S311 -- reproducible data, no secret
    documents = []
    for territory, kinds in facts.items():
        for _ in range(per_territory):
            chosen = rng.sample(sorted(kinds), min(len(kinds), rng.randint(FEWEST_FACTS, MOST_FACTS)))
            sentences = (_sentence(rng, kind).format(t=territory, v=kinds[kind]) for kind in chosen)
            documents.append(" ".join(sentences))
    rng.shuffle(documents)
    return documents


def _sentence(rng: random.Random, kind: str) -> str:
    if rng.random() < QUESTION_SHARE:
        return rng.choice(phrases.QUESTIONS[kind]) + " {v}."
    return rng.choice(phrases.SENTENCES[kind])
