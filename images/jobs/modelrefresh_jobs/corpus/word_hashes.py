"""Hashes of the words of many texts at once, without an object of Python for each word.

The words are those of `words.split`, found by the kind of each code point. A word's hash is a polynomial over its code
points, the same on every machine; equal words have equal hashes, and others hardly ever. Array suffixes: c code points,
w words, t texts. Knows nothing of what hashes are compared for.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import regex  # type: ignore[import-untyped]

from modelrefresh_jobs.corpus import words

Array = np.ndarray[Any, Any]
_PIECE = 1 << 18
"""Characters that are looked at together; the arrays of a piece take some 40 bytes for each."""
_CODE_POINTS = 0x110000
_ALONE, _LETTER = 1, 2
"""Kinds of code points: a word by itself, a part of one. All others stand between words."""
_BREAK = regex.compile(rf"[\W{words.UNSPACED}]")
_BASE = 0x9E3779B97F4A7C15
_MIX = (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53)
"""Factors of MurmurHash3's finalizer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashed:
    """Hashes of some texts, one after the other."""

    values: Array
    """`[hashes]`, uint64."""
    offsets: Array
    """`[texts + 1]`, int64: those of text t are `values[offsets[t]:offsets[t + 1]]`."""

    @property
    def counts(self) -> Array:
        """Hashes of each text, `[texts]`."""
        return np.diff(self.offsets)


def of(texts: Sequence[str]) -> Hashed:
    """The hashes of the words of each text."""
    found, counts = [np.empty(0, np.uint64)], np.zeros(len(texts), np.int64)
    for pieces, owners in _groups(texts):
        values, counts_p = _hashed(pieces)
        found.append(values)
        np.add.at(counts, owners, counts_p)
    return Hashed(values=np.concatenate(found), offsets=_offsets(counts))


def windows(hashed: Hashed, length: int) -> Hashed:
    """The hashes of all runs of so many words that stand in one text."""
    counts = np.maximum(hashed.counts - length + 1, 0)
    total = len(hashed.values) - length + 1
    if total <= 0:
        return Hashed(values=np.empty(0, np.uint64), offsets=_offsets(counts))
    summed = np.zeros(total, np.uint64)
    for place, factor in enumerate(_powers(length + 1)[0][1 : length + 1].tolist()):
        summed += hashed.values[place : place + total] * np.uint64(factor)
    ends_w = np.repeat(hashed.offsets[1:], hashed.counts)[:total]
    return Hashed(values=summed[np.arange(length, total + length) <= ends_w], offsets=_offsets(counts))


def _offsets(counts: Array) -> Array:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def _groups(texts: Sequence[str]) -> Iterator[tuple[list[str], list[int]]]:
    """Texts, long ones in pieces, in groups of about one piece's size; with the index of the text of each."""
    group: list[str] = []
    owners: list[int] = []
    size = 0
    for index, text in enumerate(texts):
        for piece in _pieces(text):
            if size + len(piece) > _PIECE and group:
                yield group, owners
                group, owners, size = [], [], 0
            group.append(piece)
            owners.append(index)
            size += len(piece)
    if group:
        yield group, owners


def _pieces(text: str) -> Iterator[str]:
    """A text cut between words; within one only where it is longer than a piece."""
    start = 0
    while len(text) - start > _PIECE:
        found = _BREAK.search(text, start + _PIECE // 2, start + _PIECE)
        end = found.start() if found else start + _PIECE
        yield text[start:end]
        start = end
    yield text[start:]


def _hashed(pieces: Sequence[str]) -> tuple[Array, Array]:
    """The words' hashes, and the number of words of each piece."""
    folded = [words.folded(piece) for piece in pieces]
    codes_c = _codes("\n".join(folded))
    kinds_c = _kinds()[codes_c]
    letter_c, alone_c = kinds_c == _LETTER, kinds_c == _ALONE
    first_c, last_c = letter_c.copy(), letter_c.copy()
    first_c[1:] &= ~letter_c[:-1]
    last_c[:-1] &= ~letter_c[1:]
    starts_w, ends_w = np.flatnonzero(first_c | alone_c), np.flatnonzero(last_c | alone_c) + 1
    powers, inverses = _powers(len(codes_c) + 1)
    sums = np.zeros(len(codes_c) + 1, np.uint64)
    np.cumsum(codes_c * powers[: len(codes_c)], out=sums[1:])
    values = _mixed((sums[ends_w] - sums[starts_w]) * inverses[starts_w])
    ends_p = np.cumsum([len(piece) + 1 for piece in folded])
    return values, np.diff(np.searchsorted(starts_w, ends_p), prepend=0)


def _codes(text: str) -> Array:
    """Code points, `[characters]`, of the narrowest type."""
    if text.isascii():
        return np.frombuffer(text.encode(), np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _mixed(values_w: Array) -> Array:
    for factor in _MIX:
        values_w = (values_w ^ (values_w >> np.uint64(33))) * np.uint64(factor)
    last: Array = values_w ^ (values_w >> np.uint64(33))
    return last


@functools.cache
def _kinds() -> Array:
    """The kind of each code point, `[code points]`, uint8."""
    every, kinds = "".join(map(chr, range(_CODE_POINTS))), np.zeros(_CODE_POINTS, np.uint8)
    for kind, pattern in ((_ALONE, rf"[{words.UNSPACED}]+"), (_LETTER, rf"[^\W{words.UNSPACED}]+")):
        for run in regex.finditer(pattern, every):
            kinds[run.start() : run.end()] = kind
    return kinds


def _powers(count: int) -> tuple[Array, Array]:
    """At least so many powers of the base modulo 2^64, from the 0th, and their inverses."""
    return _power_table(max(count, 2 * _PIECE).bit_length())


@functools.lru_cache(maxsize=1)
def _power_table(bits: int) -> tuple[Array, Array]:
    bases = (_BASE, pow(_BASE, -1, 1 << 64))
    powers, inverses = (np.full(1 << bits, base, np.uint64) for base in bases)
    for table in (powers, inverses):
        table[0] = 1
        np.multiply.accumulate(table, out=table)
    return powers, inverses
