"""Overlap of training text with evaluation suites.

An item counts as seen when one of its 13-word sequences occurs in a training document; an item of 8 to
12 words, when it occurs as a whole; shorter ones are too common and are left out (GPT-3's rule, arXiv
2005.14165, appendix C). Words are compared as `words` splits them. Reports shares, removes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from modelrefresh_jobs.corpus import word_hashes, words

_LONG, _SHORT = 13, 8
"""Words of a sequence that is looked for, and of the shortest item that is."""
_BITS = 20
"""Size of the table that tells at once of most places in a text that no item begins there, as a power of two."""
Array = np.ndarray[Any, Any]
Item = tuple[str, int]
"""Name of the suite and index of the item in it, from 0."""


class Overlap:
    """Collects the items that occur in training documents; `suites` has the texts of the items by suite."""

    def __init__(self, suites: Mapping[str, Sequence[str]]) -> None:
        self._owners: dict[tuple[str, ...], set[Item]] = {}
        self._hits: dict[str, set[int]] = {name: set() for name in suites}
        for name, items in suites.items():
            for index, item in enumerate(items):
                for gram in _grams(words.split(item)):
                    self._owners.setdefault(gram, set()).add((name, index))
        self._lengths = sorted({len(gram) for gram in self._owners})
        texts = [item for items in suites.values() for item in items]
        self._beginnings = np.unique(word_hashes.windows(word_hashes.of(texts), _SHORT).values)
        self._table = np.zeros(1 << _BITS, bool)
        self._table[self._beginnings >> np.uint64(64 - _BITS)] = True

    @property
    def is_asked(self) -> bool:
        """Whether there is any item to look for."""
        return bool(self._owners)

    def suspects(self, hashed: word_hashes.Hashed) -> Array:
        """Indices, ascending, of the texts in which an item may occur; in others none does."""
        windows = word_hashes.windows(hashed, _SHORT)
        places = np.flatnonzero(self._table[windows.values >> np.uint64(64 - _BITS)])
        places = places[np.isin(windows.values[places], self._beginnings)]
        return np.unique(np.searchsorted(windows.offsets, places, side="right") - 1)

    def found(self, text_words: Sequence[str]) -> frozenset[Item]:
        """The items that occur in a document of these words."""
        hits: set[Item] = set()
        for length in self._lengths:
            for start in range(len(text_words) - length + 1):
                hits.update(self._owners.get(tuple(text_words[start : start + length]), ()))
        return frozenset(hits)

    def note(self, items: Iterable[Item]) -> None:
        """Count these items as seen: a document with them is trained on."""
        for name, index in items:
            self._hits[name].add(index)

    def shares(self) -> dict[str, float]:
        """By suite, the share seen of the items of 8 words or more, 0-1; suites without such items are left out."""
        measured: dict[str, set[int]] = {}
        for name, index in set().union(*self._owners.values()):
            measured.setdefault(name, set()).add(index)
        return {name: round(len(self._hits[name]) / len(measured[name]), 4) for name in self._hits if name in measured}


def _grams(item: list[str]) -> list[tuple[str, ...]]:
    if len(item) >= _LONG:
        return [tuple(item[i : i + _LONG]) for i in range(len(item) - _LONG + 1)]
    return [tuple(item)] if len(item) >= _SHORT else []
