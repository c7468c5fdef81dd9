"""Documents of one round as they are compared with each other: their tokens on disk, and what was found in them.

Reads a source once, takes the documents that are wanted in reading order, and has batches of them tokenised and
compared by several threads. Equal input gives equal files whatever their number. Knows nothing of budgets.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelrefresh_jobs.corpus import deduplication, scan, tokenization, word_hashes, words
from modelrefresh_jobs.corpus.contamination import Item, Overlap
from modelrefresh_jobs.corpus.reading import documents
from modelrefresh_jobs.corpus.reading.data_files import DataFile
from modelrefresh_jobs.process import cores, parallel

Array = np.ndarray[Any, Any]
_BATCH, _BATCH_CHARACTERS = 1024, 1 << 18
"""Most records, and characters from which no more are added, at once."""
_MOST_THREADS = 8
"""More would wait for the one that reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Documents to choose from."""

    files: Sequence[DataFile]
    text_field: str
    """Field of a record that holds the text."""
    seen: scan.Scan
    order: Array
    """Rows of `seen`, those to learn first at the front."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What is known of the documents of a round, by their place in it; `[documents]` each."""

    starts: Array
    """First token in the file of tokens, int64."""
    sizes: Array
    """Tokens, int32."""
    signatures: Array
    """Number of the signature, int32; -1 where there is none."""
    items: dict[int, frozenset[Item]]
    """Items of suites that occur in a document, where any does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some documents that were worked on."""

    places: list[int]
    """Of each in the round."""
    characters: int
    """Of all texts."""
    encoded: tokenization.Encoded
    signatures: Array | None
    """`[documents, permutations]`; None if they are not compared."""
    has_signature: Array
    """Whether a document is long enough to be compared, `[documents]`."""
    items: dict[int, frozenset[Item]]
    """By place, items of suites that occur in a document, where any does."""


def empty(count: int) -> Table:
    """The table of so many documents of which nothing is known."""
    return Table(
        starts=np.zeros(count, np.int64),
        sizes=np.zeros(count, np.int32),
        signatures=np.full(count, -1, np.int32),
        items={},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Tokenises and compares."""

    vocabulary: tokenization.Tokens
    overlap: Overlap
    near: deduplication.NearDuplicates | None
    """None makes no signatures."""

    def read(self, source: Source, rows: Array) -> Iterator[Batch]:
        """The documents at these rows of the source, in reading order; a place is an index of `rows`."""
        with parallel.Workers(min(_MOST_THREADS, cores.allowed())) as workers:
            yield from workers.in_order(self._worked, _wanted(source, rows))

    def _worked(self, found: tuple[list[int], list[str]]) -> Batch:
        places, texts = found
        hashed = word_hashes.of(texts) if self.near or self.overlap.is_asked else None
        signatures, has_signature = None, np.zeros(len(texts), bool)
        if hashed and self.near:
            signatures, has_signature = deduplication.signatures(hashed)
        suspects = self.overlap.suspects(hashed).tolist() if hashed and self.overlap.is_asked else ()
        items = {places[index]: self.overlap.found(words.split(texts[index])) for index in suspects}
        return Batch(
            places=places,
            characters=sum(map(len, texts)),
            encoded=self.vocabulary.encode(texts),
            signatures=signatures,
            has_signature=has_signature,
            items={place: found for place, found in items.items() if found},
        )


def _wanted(source: Source, rows: Array) -> Iterator[tuple[list[int], list[str]]]:
    """Places and texts of the wanted documents in reading order, each at its first record."""
    places = np.full(len(source.seen.digests), -1, np.int32)
    places[rows] = np.arange(len(rows), dtype=np.int32)
    for texts in _read(source):
        digests = [deduplication.digest(text) for text in texts]
        found: tuple[list[int], list[str]] = ([], [])
        for row, text in zip(source.seen.rows(digests).tolist(), texts, strict=True):
            if row >= 0 and places[row] >= 0:
                found[0].append(int(places[row]))
                found[1].append(text)
                places[row] = -1
        if found[0]:
            yield found


def _read(source: Source) -> Iterator[list[str]]:
    texts: list[str] = []
    size = 0
    for document in documents.read(source.files, text_field=source.text_field):
        if scan.drop_reason(document.text) is None:
            texts.append(document.text)
            size += len(document.text)
        if len(texts) == _BATCH or size >= _BATCH_CHARACTERS:
            yield texts
            texts, size = [], 0
    if texts:
        yield texts
