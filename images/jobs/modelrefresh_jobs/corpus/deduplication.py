"""Which documents say nothing new: exact and near duplicates.

Exact: equal text after white space is folded. Near: MinHash over five-word shingles with
banded buckets (Broder 1997; Leskovec et al., Mining of Massive Datasets, chapter 3), checked
against the estimated Jaccard similarity. Every random constant is fixed, so equal input
gives equal answers. Memory grows by about 3 KB per kept document. Knows nothing of files, and
takes words as `words` splits them.
"""

import hashlib
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

_PERMUTATIONS, _ROWS = 128, 8
_SHINGLE_WORDS = 5
_SIMILAR = 0.8
"""Estimated Jaccard similarity from which two documents count as the same text."""
_CHUNK = 4096
_FEW_SHINGLES = 8
"""Texts this short are compared exactly only: one word changes most of their shingles."""
Signature = np.ndarray[Any, Any]


def digest(text: str) -> bytes:
    """Identity of a text; differences in white space do not count."""
    return hashlib.blake2b(" ".join(text.split()).encode(), digest_size=16).digest()


class NearDuplicates:
    """Remembers the documents seen so far."""

    def __init__(self) -> None:
        random = np.random.default_rng(20260101)
        self._factor = random.integers(1, 2**63, _PERMUTATIONS, dtype=np.uint64) | np.uint64(1)
        self._offset = random.integers(0, 2**63, _PERMUTATIONS, dtype=np.uint64)
        self._signatures: list[Signature] = []
        self._buckets: dict[tuple[int, bytes], int] = {}

    def like(self, signature: Signature) -> bool:
        """Whether a text that is remembered is similar to this one."""
        candidates = {self._buckets[key] for key in _keys(signature) if key in self._buckets}
        return any(float(np.mean(signature == self._signatures[other])) >= _SIMILAR for other in sorted(candidates))

    def remember(self, signature: Signature) -> None:
        """Compare later texts with this one."""
        for key in _keys(signature):
            self._buckets.setdefault(key, len(self._signatures))
        self._signatures.append(signature)

    def signature(self, words: Sequence[str]) -> Signature | None:
        """What stands for a text of these words, half a KB; None for one that is too short to be like another."""
        if len(words) < _SHINGLE_WORDS + _FEW_SHINGLES:
            return None
        count = len(words) - _SHINGLE_WORDS + 1
        shingles = (" ".join(words[i : i + _SHINGLE_WORDS]).encode() for i in range(count))
        hashes = np.fromiter((zlib.crc32(shingle) for shingle in shingles), dtype=np.uint64, count=count)
        lowest = np.full(_PERMUTATIONS, np.iinfo(np.uint64).max, dtype=np.uint64)
        for start in range(0, count, _CHUNK):
            mixed = hashes[start : start + _CHUNK, None] * self._factor + self._offset
            lowest = np.minimum(lowest, mixed.min(axis=0))
        return (lowest >> np.uint64(32)).astype(np.uint32)


def _keys(signature: Signature) -> list[tuple[int, bytes]]:
    return [(band, signature[band : band + _ROWS].tobytes()) for band in range(0, _PERMUTATIONS, _ROWS)]
