"""Choice of the documents that are learnt: in their order, as many as a budget of tokens holds.

A document that exceeds what is left of the budget is passed over and the next ones are tried, until it is
nearly full; only where none fits at all is the first one cut. Tokenises about as much as the budget holds, in
rounds: each takes the next documents in order, as many as the characters per token seen so far promise to
need. Memory holds some 20 bytes per document of a round; tokens and signatures wait on disk. Knows nothing of blocks.
"""

import array
import pathlib
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from modelrefresh.contract import printable
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.corpus import candidates, deduplication, packing, scan, tokenization
from modelrefresh_jobs.corpus.candidates import Source, Table
from modelrefresh_jobs.corpus.contamination import Overlap
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress

Array = np.ndarray[Any, Any]
_RATIO = 4.0
"""Characters per token before any are counted."""
_MARGIN = 1.2
"""Factor of the characters that a round is estimated to need."""
_LEAST = 1 << 20
"""Characters of the smallest round; each round doubles it, since each reads the source again."""
_FULL = 0.99
"""Share of the budget, 0-1, from which it counts as full."""
_LEARNABLE = 2
"""A document of fewer tokens has nothing to predict."""


@dataclass(slots=True, kw_only=True)
class Chosen:
    """The chosen documents, and counts of the others."""

    places: "array.array[int]" = field(default_factory=lambda: array.array("q"))
    """First token of each document in the file of tokens."""
    sizes: "array.array[int]" = field(default_factory=lambda: array.array("q"))
    """Tokens of each."""
    tokens: int = 0
    """Tokens of all chosen documents."""
    newest: int | None = None
    """Date of the newest one, in seconds since 1970 UTC."""
    dropped: dict[str, int] = field(default_factory=lambda: {"near_duplicate": 0, "too_short": 0})
    """Documents by reason."""
    cut: int = 0
    """Documents of which only the beginning was taken, 0 or 1."""
    rows: "array.array[int]" = field(default_factory=lambda: array.array("q"))
    """Row of each in the source."""
    unknown: int = 0
    """Tokens of all chosen documents that stand for what the vocabulary lacks; counted when they are written."""
    least_known: int | None = None
    """Row of the document that has most of them."""


@dataclass(slots=True, kw_only=True)
class Selection:
    """Chooses from one source and keeps the tokens of what it looked at in one file."""

    path: pathlib.Path
    """The file of tokens: ids of one document after the other, int32, in reading order of each round."""
    vocabulary: tokenization.Tokens
    overlap: Overlap
    near: deduplication.NearDuplicates | None
    """None keeps near duplicates."""
    progress: Progress
    _written: int = 0
    """Tokens in the file."""
    _characters: int = 0
    """Characters of the texts that they came from."""

    def choose(self, source: Source, *, budget: int) -> Chosen:
        """The documents that a budget of tokens holds.

        Raises:
            StageError: DataUnreadable, when documents are gone that `scan.of` has seen.
            StageError: ModelUnreadable, when the tokenizer fails on a text.
        """
        chosen, at, least, too_long = Chosen(), 0, _LEAST, None
        self.path.touch()
        while at < len(source.order) and chosen.tokens < _FULL * budget:
            ratio = self._characters / self._written if self._written else _RATIO
            wanted = max(least, (budget - chosen.tokens) * ratio * _MARGIN)
            rows = _next_round(source, at, characters=wanted)
            table = self._tokenised(source, rows)
            for place, row in enumerate(rows.tolist()):
                if self._is_useless(table, place, chosen):
                    continue
                if table.sizes[place] > budget - chosen.tokens:
                    too_long = too_long or (table, place, row)
                else:
                    self._take(table, place, (row, int(source.seen.dates[row])), chosen)
            at, least = at + len(rows), 2 * least
        if too_long and not chosen.places and budget >= _LEARNABLE:
            table, place, row = too_long
            table.sizes[place] = budget
            self._take(table, place, (row, int(source.seen.dates[row])), chosen)
            chosen.cut = 1
        return chosen

    def write(self, chosen: Chosen, writer: packing.BlockWriter) -> packing.Blocks:
        """The chosen documents as blocks, in the order of the file of tokens, which is removed; counts the unknown."""
        most = 0
        if chosen.places:
            stored = np.memmap(self.path, np.int32, mode="r")
            starts, sizes = np.array(chosen.places), np.array(chosen.sizes)
            for index in np.argsort(starts):
                ids = stored[starts[index] : starts[index] + sizes[index]]
                writer.add(ids)
                if self.vocabulary.unknown is None:
                    continue
                # What ends a document was read from no text, though some tokenizers use one token for both.
                unknown = int((ids[:-1] == self.vocabulary.unknown).sum())
                chosen.unknown += unknown
                if unknown > most:
                    most, chosen.least_known = unknown, chosen.rows[index]
            del stored
        self.path.unlink()
        return writer.close()

    def _is_useless(self, table: Table, place: int, chosen: Chosen) -> bool:
        signature = int(table.signatures[place])
        similar = self.near is not None and signature >= 0 and self.near.like(signature)
        reason = "too_short" if table.sizes[place] < _LEARNABLE else "near_duplicate" if similar else None
        if reason:
            chosen.dropped[reason] += 1
        return reason is not None

    def _take(self, table: Table, place: int, found: tuple[int, int], chosen: Chosen) -> None:
        row, date = found
        if self.near is not None and table.signatures[place] >= 0:
            self.near.remember(int(table.signatures[place]))
        self.overlap.note(table.items.get(place, ()))
        chosen.rows.append(row)
        chosen.places.append(int(table.starts[place]))
        chosen.sizes.append(int(table.sizes[place]))
        chosen.tokens += int(table.sizes[place])
        if date != scan.UNDATED:
            chosen.newest = max(date, chosen.newest if chosen.newest is not None else date)

    def _tokenised(self, source: Source, rows: Array) -> Table:
        reader = candidates.Reader(vocabulary=self.vocabulary, overlap=self.overlap, near=self.near)
        table, done = candidates.empty(len(rows)), 0
        with self.path.open("ab") as file:
            for batch in reader.read(source, rows):
                self._written += self._store(table, batch, file)
                self._characters += batch.characters
                done += len(batch.places)
                self.progress.report(done, len(rows), unit="documents", tokens=float(self._written))
        if done < len(rows):
            raise _changed(source, lost=len(rows) - done)
        return table

    def _store(self, table: Table, batch: candidates.Batch, file: BinaryIO) -> int:
        """Put the batch's tokens at the end of the file, and where they are into the table; returns their number."""
        ends = self._written + np.cumsum(batch.encoded.sizes)
        table.starts[batch.places] = ends - batch.encoded.sizes
        table.sizes[batch.places] = batch.encoded.sizes
        if self.near is not None and batch.signatures is not None:
            numbers = self.near.add(batch.signatures) + np.arange(len(batch.places))
            table.signatures[batch.places] = np.where(batch.has_signature, numbers, -1)
        table.items.update(batch.items)
        batch.encoded.ids.tofile(file)
        return len(batch.encoded.ids)


def _next_round(source: Source, start: int, *, characters: float) -> Array:
    """The next rows of the order from `start` on that together hold this many characters or more."""
    lengths = np.cumsum(source.seen.lengths[source.order[start:]], dtype=np.int64)
    return source.order[start : start + int(np.searchsorted(lengths, characters)) + 1]


def _changed(source: Source, *, lost: int) -> StageError:
    first = printable.line(str(source.files[0].path))
    return StageError(
        StageReason.DATA_UNREADABLE,
        f"{first} and the files beside it: {lost} documents are gone that were there when this stage first read them; "
        "expected data that holds still. Write new data beside it and rename it when it is complete.",
    )
