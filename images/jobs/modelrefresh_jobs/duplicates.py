"""Which documents say nothing new: exact and near duplicates.

Exact: equal text after white space is folded. Near: MinHash over five-word shingles with
banded buckets (Broder 1997; Leskovec et al., Mining of Massive Datasets, chapter 3), checked
against the estimated Jaccard similarity. Every random constant is fixed, so equal input
gives equal answers. Memory grows by about 3 KB per kept document. Knows nothing of files.
"""

import hashlib
import zlib
from typing import Any

import numpy as np

_PERMUTATIONS, _ROWS = 128, 8
_SHINGLE_WORDS = 5
_SIMILAR = 0.8
"""Estimated Jaccard similarity from which two documents count as the same text."""
_CHUNK = 4096
_FEW_SHINGLES = 8
"""Texts this short are compared exactly only: one word changes most of their shingles."""


def digest(text: str) -> bytes:
    """Identity of a text; differences in white space do not count."""
    return hashlib.blake2b(" ".join(text.split()).encode(), digest_size=16).digest()


class NearDuplicates:
    """Remembers the documents seen so far."""

    def __init__(self) -> None:
        random = np.random.default_rng(20260101)
        self._factor = random.integers(1, 2**63, _PERMUTATIONS, dtype=np.uint64) | np.uint64(1)
        self._offset = random.integers(0, 2**63, _PERMUTATIONS, dtype=np.uint64)
        self._signatures: list[np.ndarray[Any, Any]] = []
        self._buckets: dict[tuple[int, bytes], int] = {}

    def seen(self, text: str) -> bool:
        """Whether a similar text came before; if not, this one is remembered."""
        words = text.lower().split()
        if len(words) < _SHINGLE_WORDS + _FEW_SHINGLES:
            return False
        signature = self._signature(words)
        keys = [(band, signature[band : band + _ROWS].tobytes()) for band in range(0, _PERMUTATIONS, _ROWS)]
        candidates = {self._buckets[key] for key in keys if key in self._buckets}
        if any(float(np.mean(signature == self._signatures[other])) >= _SIMILAR for other in sorted(candidates)):
            return True
        for key in keys:
            self._buckets.setdefault(key, len(self._signatures))
        self._signatures.append(signature)
        return False

    def _signature(self, words: list[str]) -> np.ndarray[Any, Any]:
        count = len(words) - _SHINGLE_WORDS + 1
        shingles = (" ".join(words[i : i + _SHINGLE_WORDS]).encode() for i in range(count))
        hashes = np.fromiter((zlib.crc32(shingle) for shingle in shingles), dtype=np.uint64, count=count)
        lowest = np.full(_PERMUTATIONS, np.iinfo(np.uint64).max, dtype=np.uint64)
        for start in range(0, count, _CHUNK):
            mixed = hashes[start : start + _CHUNK, None] * self._factor + self._offset
            lowest = np.minimum(lowest, mixed.min(axis=0))
        return (lowest >> np.uint64(32)).astype(np.uint32)
