"""How much of an evaluation suite the training text already contains.

An item counts as seen when one of its 13-word sequences occurs in a training document; an
item of 8 to 12 words, when all of it occurs; shorter ones are too common to tell and are left
out (GPT-3's rule, arXiv 2005.14165, appendix C). Words are compared as `words` splits them.
Reports a share of the items that can be told per suite, and removes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence

from modelrefresh_jobs.corpus import words

_LONG, _SHORT = 13, 8
Item = tuple[str, int]
"""Suite and index of one item."""


class Overlap:
    """Collects the items that stand in training documents."""

    def __init__(self, suites: Mapping[str, Sequence[str]]) -> None:
        self._owners: dict[tuple[str, ...], set[Item]] = {}
        self._hits: dict[str, set[int]] = {name: set() for name in suites}
        for name, items in suites.items():
            for index, item in enumerate(items):
                for gram in _grams(words.split(item)):
                    self._owners.setdefault(gram, set()).add((name, index))
        self._lengths = sorted({len(gram) for gram in self._owners})

    @property
    def is_asked(self) -> bool:
        """Whether there is any item to look for."""
        return bool(self._owners)

    def found(self, text_words: Sequence[str]) -> frozenset[Item]:
        """The items that stand in a document of these words."""
        hits: set[Item] = set()
        for length in self._lengths:
            for start in range(len(text_words) - length + 1):
                hits.update(self._owners.get(tuple(text_words[start : start + length]), ()))
        return frozenset(hits)

    def note(self, items: Iterable[Item]) -> None:
        """A document with these items is trained on."""
        for name, index in items:
            self._hits[name].add(index)

    def shares(self) -> dict[str, float]:
        """Share of each suite's items that were seen, 0-1; a suite whose items are all too short is not measured."""
        told: dict[str, set[int]] = {}
        for name, index in set().union(*self._owners.values()):
            told.setdefault(name, set()).add(index)
        return {name: round(len(self._hits[name]) / len(told[name]), 4) for name in self._hits if name in told}


def _grams(item: list[str]) -> list[tuple[str, ...]]:
    if len(item) >= _LONG:
        return [tuple(item[i : i + _LONG]) for i in range(len(item) - _LONG + 1)]
    return [tuple(item)] if len(item) >= _SHORT else []
