"""Detection of exact and near duplicates among documents.

Exact: equal text after white space is folded. Near: MinHash over five-word shingles (by rensa) with banded buckets
(Broder 1997; Leskovec et al., Mining of Massive Datasets, chapter 3), checked against the estimated Jaccard similarity.
Every constant is fixed, so equal input gives equal answers. Signatures lie on disk; memory grows by about 200 bytes per
remembered document. Knows nothing of documents, and takes words as `word_hashes` does.
"""

import hashlib
import os
import pathlib
from types import TracebackType
from typing import Any, Self

import numpy as np
import rensa  # type: ignore[import-untyped]

from modelrefresh_jobs.corpus import word_hashes

Array = np.ndarray[Any, Any]
_PERMUTATIONS, _ROWS = 128, 8
"""Hashes of a signature, and how many of them make one band."""
_SEED = 20260101
_SHINGLE_WORDS = 5
_SIMILAR = 0.8
"""Estimated Jaccard similarity, 0-1, from which two documents count as the same text."""
_FEW_SHINGLES = 8
"""Texts of no more shingles are compared exactly only: one word changes most of them."""
_RECENT = 1 << 18
"""Keys that are held in a dictionary, before they go into arrays."""
_BYTES = 4 * _PERMUTATIONS


def digest(text: str) -> bytes:
    """Identity of a text, 16 bytes; differences in white space do not count."""
    return hashlib.blake2b(" ".join(text.split()).encode(), digest_size=16).digest()


def signatures(hashed: word_hashes.Hashed) -> tuple[Array, Array]:
    """The MinHash signatures of texts, `[texts, permutations]`, uint32, and which texts have one.

    A text of fewer than 13 words has none: of those only equality counts.
    """
    has = hashed.counts >= _SHINGLE_WORDS + _FEW_SHINGLES
    shingles = word_hashes.windows(hashed, _SHINGLE_WORDS)
    rows = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
        shingles.values, shingles.offsets.astype(np.uint64), _PERMUTATIONS, _SEED
    )
    return np.array(rows.to_rows(), np.uint32).reshape(-1, _PERMUTATIONS), has


class NearDuplicates:
    """Keeps signatures in one file and finds, of those that it is told to remember, the ones that are similar."""

    def __init__(self, path: pathlib.Path) -> None:
        self._file = path.open("w+b")
        self._path, self._count = path, 0
        self._buckets = _Buckets()
        bands = _PERMUTATIONS // _ROWS
        random = np.random.default_rng(_SEED)
        self._factors = random.integers(1, 2**63, (bands, _ROWS), dtype=np.uint64) | np.uint64(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._path.unlink()

    def add(self, found: Array) -> int:
        """Store signatures, `[texts, permutations]`; returns the number of the first, the others follow."""
        first = self._count
        self._file.write(np.ascontiguousarray(found, np.uint32).tobytes())
        self._file.flush()
        self._count += len(found)
        return first

    def like(self, number: int) -> bool:
        """Whether a remembered text is similar to this one."""
        signature = self._stored(number)
        candidates = self._buckets.find(self._keys(signature))
        return any(float(np.mean(signature == self._stored(other))) >= _SIMILAR for other in sorted(candidates))

    def remember(self, number: int) -> None:
        """Compare later texts with this one."""
        self._buckets.add(self._keys(self._stored(number)), number)

    def _stored(self, number: int) -> Array:
        return np.frombuffer(os.pread(self._file.fileno(), _BYTES, number * _BYTES), np.uint32)

    def _keys(self, signature: Array) -> Array:
        """One key for each band, `[bands]`, uint32; with equal values another band has another key."""
        mixed: Array = (signature.reshape(self._factors.shape).astype(np.uint64) * self._factors).sum(axis=1)
        return (mixed >> np.uint64(32)).astype(np.uint32)


class _Buckets:
    """The first text of each key; what is old lies in a few sorted arrays, each at least twice as long as the next."""

    def __init__(self) -> None:
        self._recent: dict[int, int] = {}
        self._runs: list[tuple[Array, Array]] = []

    def find(self, keys: Array) -> set[int]:
        """Texts that share one of these keys."""
        found = {self._recent[key] for key in keys.tolist() if key in self._recent}
        for known, numbers in self._runs:
            places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
            found.update(numbers[places[known[places] == keys]].tolist())
        return found

    def add(self, keys: Array, number: int) -> None:
        """Put a text under these keys where no recent one is."""
        for key in keys.tolist():
            self._recent.setdefault(key, number)
        if len(self._recent) >= _RECENT:
            self._sort()

    def _sort(self) -> None:
        count = len(self._recent)
        keys = np.fromiter(self._recent.keys(), np.uint32, count)
        numbers = np.fromiter(self._recent.values(), np.uint32, count)
        self._recent = {}
        while self._runs and len(self._runs[-1][0]) < 2 * len(keys):
            older, theirs = self._runs.pop()
            keys, numbers = np.concatenate([older, keys]), np.concatenate([theirs, numbers])
        order = np.argsort(keys, kind="stable")
        self._runs.append((keys[order], numbers[order]))
