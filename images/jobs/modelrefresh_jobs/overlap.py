"""How much of an evaluation suite the training text already contains.

An item counts as seen when one of its 13-word sequences occurs in a training document; an
item of 8 to 12 words, when all of it occurs; shorter ones are too common to tell and never
count (GPT-3's rule, arXiv 2005.14165, appendix C). Words are compared without case and
punctuation. Reports a share per suite and removes nothing.
"""

import re
from collections.abc import Mapping, Sequence

_LONG, _SHORT = 13, 8
_WORD = re.compile(r"\w+")


class Overlap:
    """Collects hits while the training documents go by."""

    def __init__(self, suites: Mapping[str, Sequence[str]]) -> None:
        self._sizes = {name: len(items) for name, items in suites.items()}
        self._owners: dict[tuple[str, ...], set[tuple[str, int]]] = {}
        self._hits: dict[str, set[int]] = {name: set() for name in suites}
        for name, items in suites.items():
            for index, item in enumerate(items):
                for gram in _grams(_WORD.findall(item.lower())):
                    self._owners.setdefault(gram, set()).add((name, index))
        self._lengths = sorted({len(gram) for gram in self._owners})

    def scan(self, text: str) -> None:
        """Note every item that this document contains."""
        if not self._owners:
            return
        words = _WORD.findall(text.lower())
        for length in self._lengths:
            for start in range(len(words) - length + 1):
                for name, index in self._owners.get(tuple(words[start : start + length]), ()):
                    self._hits[name].add(index)

    def shares(self) -> dict[str, float]:
        """Share of each suite's items that were seen, 0-1."""
        return {name: round(len(self._hits[name]) / size, 4) for name, size in self._sizes.items() if size}


def _grams(words: list[str]) -> list[tuple[str, ...]]:
    if len(words) >= _LONG:
        return [tuple(words[i : i + _LONG]) for i in range(len(words) - _LONG + 1)]
    return [tuple(words)] if len(words) >= _SHORT else []
