"""Detection of exact and near duplicates among documents.

Exact: equal text after white space is folded. Near: MinHash over five-word shingles with
banded buckets (Broder 1997; Leskovec et al., Mining of Massive Datasets, chapter 3), checked
against the estimated Jaccard similarity. Every random constant is fixed, so equal input gives
equal answers. Memory grows by about 3 KB per kept document. Array suffixes: s shingles,
p permutations. Knows nothing of files, and takes words as `words` splits them.
"""

import hashlib
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

_PERMUTATIONS, _ROWS = 128, 8
"""Hashes of a signature, and how many of them make one band."""
_SHINGLE_WORDS = 5
_SIMILAR = 0.8
"""Estimated Jaccard similarity, 0-1, from which two documents count as the same text."""
_CHUNK = 4096
"""Shingles hashed at once."""
_FEW_SHINGLES = 8
"""Texts of no more shingles are compared exactly only: one word changes most of them."""
Signature = np.ndarray[Any, Any]
"""`[permutations]`, uint32."""


def digest(text: str) -> bytes:
    """Identity of a text, 16 bytes; differences in white space do not count."""
    return hashlib.blake2b(" ".join(text.split()).encode(), digest_size=16).digest()


class NearDuplicates:
    """Remembers the signatures of documents, to find similar ones."""

    def __init__(self) -> None:
        random = np.random.default_rng(20260101)
        self._factor = random.integers(1, 2**63, _PERMUTATIONS, dtype=np.uint64) | np.uint64(1)
        self._offset = random.integers(0, 2**63, _PERMUTATIONS, dtype=np.uint64)
        self._signatures: list[Signature] = []
        self._buckets: dict[tuple[int, bytes], int] = {}

    def like(self, signature: Signature) -> bool:
        """Whether a remembered text is similar to this one."""
        candidates = {self._buckets[key] for key in _keys(signature) if key in self._buckets}
        return any(float(np.mean(signature == self._signatures[other])) >= _SIMILAR for other in sorted(candidates))

    def remember(self, signature: Signature) -> None:
        """Keep a text's signature for comparison with later texts."""
        for key in _keys(signature):
            self._buckets.setdefault(key, len(self._signatures))
        self._signatures.append(signature)

    def signature(self, words: Sequence[str]) -> Signature | None:
        """The MinHash signature of a text, 512 bytes; None for fewer than 13 words, of which only equality counts."""
        if len(words) < _SHINGLE_WORDS + _FEW_SHINGLES:
            return None
        count = len(words) - _SHINGLE_WORDS + 1
        shingles = (" ".join(words[i : i + _SHINGLE_WORDS]).encode() for i in range(count))
        hashes_s = np.fromiter((zlib.crc32(shingle) for shingle in shingles), dtype=np.uint64, count=count)
        lowest_p = np.full(_PERMUTATIONS, np.iinfo(np.uint64).max, dtype=np.uint64)
        for start in range(0, count, _CHUNK):
            mixed_sp = hashes_s[start : start + _CHUNK, None] * self._factor + self._offset
            lowest_p = np.minimum(lowest_p, mixed_sp.min(axis=0))
        return (lowest_p >> np.uint64(32)).astype(np.uint32)


def _keys(signature: Signature) -> list[tuple[int, bytes]]:
    return [(band, signature[band : band + _ROWS].tobytes()) for band in range(0, _PERMUTATIONS, _ROWS)]
