"""Choice of the documents that are learnt: in their order, as many as a budget of tokens holds.

A document that exceeds what is left of the budget is passed over and the next ones are tried, until it is
nearly full; only where none fits at all is the first one cut. Tokenises about as much as the budget holds, in
rounds: each takes the next documents in order, as many as the characters per token seen so far promise to
need. Memory holds half a KB per document of a round; tokens wait on disk. Knows nothing of blocks.
"""

import collections
import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from modelrefresh.contract import printable
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.corpus import deduplication, documents, packing, scan, tokenization, words
from modelrefresh_jobs.corpus.contamination import Item, Overlap
from modelrefresh_jobs.corpus.data_files import DataFile
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Documents to choose from."""

    files: Sequence[DataFile]
    text_field: str
    """Field of a record that holds the text."""
    seen: scan.Scan
    order: Sequence[bytes]
    """Digests of `seen`, those to learn first at the front."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """One document that was tokenised."""

    start: int
    """First token in the file of tokens."""
    length: int
    """Tokens."""
    signature: deduplication.Signature | None
    items: frozenset[Item]


@dataclass(slots=True, kw_only=True)
class Chosen:
    """The chosen documents, and counts of the others."""

    places: list[tuple[int, int]] = field(default_factory=list)
    """First token and number of tokens of each document in the file of tokens."""
    tokens: int = 0
    """Tokens of all chosen documents."""
    newest: int | None = None
    """Date of the newest one, in seconds since 1970 UTC."""
    dropped: dict[str, int] = field(default_factory=lambda: {"near_duplicate": 0, "too_short": 0})
    """Documents by reason."""
    cut: int = 0
    """Documents of which only the beginning was taken, 0 or 1."""


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
            group = list(_next_round(source, at, characters=wanted))
            candidates = self._tokenised(source, frozenset(group))
            for digest in group:
                one = candidates[digest]
                if self._is_useless(one, chosen):
                    continue
                if one.length > budget - chosen.tokens:
                    too_long = too_long or (digest, one)
                else:
                    self._take(one, source.seen.dates.get(digest), chosen)
            at, least = at + len(group), 2 * least
        if too_long and not chosen.places and budget >= _LEARNABLE:
            digest, one = too_long
            self._take(dataclasses.replace(one, length=budget), source.seen.dates.get(digest), chosen)
            chosen.cut = 1
        return chosen

    def write(self, chosen: Chosen, writer: packing.BlockWriter) -> packing.Blocks:
        """The chosen documents as blocks, in the order of the file of tokens, which is removed."""
        if chosen.places:
            stored = np.memmap(self.path, np.int32, mode="r")
            for start, length in sorted(chosen.places):
                writer.add(stored[start : start + length])
            del stored
        self.path.unlink()
        return writer.close()

    def _is_useless(self, one: _Candidate, chosen: Chosen) -> bool:
        similar = self.near is not None and one.signature is not None and self.near.like(one.signature)
        reason = "too_short" if one.length < _LEARNABLE else "near_duplicate" if similar else None
        if reason:
            chosen.dropped[reason] += 1
        return reason is not None

    def _take(self, one: _Candidate, date: int | None, chosen: Chosen) -> None:
        if self.near is not None and one.signature is not None:
            self.near.remember(one.signature)
        self.overlap.note(one.items)
        chosen.places.append((one.start, one.length))
        chosen.tokens += one.length
        if date is not None:
            chosen.newest = max(date, chosen.newest if chosen.newest is not None else date)

    def _tokenised(self, source: Source, wanted: frozenset[bytes]) -> dict[bytes, _Candidate]:
        found: dict[bytes, _Candidate] = {}
        waiting: collections.deque[tuple[bytes, str]] = collections.deque()

        def texts() -> Iterator[str]:
            for digest, text in scan.distinct(documents.read(source.files, text_field=source.text_field)):
                if digest in wanted:
                    waiting.append((digest, text))
                    yield text

        with self.path.open("ab") as file:
            for ids in self.vocabulary.encode(texts()):
                digest, text = waiting.popleft()
                signature, items = self._compared(text)
                found[digest] = _Candidate(start=self._written, length=len(ids), signature=signature, items=items)
                np.asarray(ids, np.int32).tofile(file)
                self._written += len(ids)
                self._characters += len(text)
                self.progress.report(len(found), len(wanted), unit="documents", tokens=float(self._written))
        if len(found) < len(wanted):
            raise _changed(source, lost=len(wanted) - len(found))
        return found

    def _compared(self, text: str) -> tuple[deduplication.Signature | None, frozenset[Item]]:
        if self.near is None and not self.overlap.is_asked:
            return None, frozenset()
        split = words.split(text)
        return self.near.signature(split) if self.near else None, self.overlap.found(split)


def _next_round(source: Source, start: int, *, characters: float) -> Iterator[bytes]:
    """The next documents from `order[start]` on that together hold this many characters or more."""
    for digest in source.order[start:]:
        yield digest
        characters -= source.seen.lengths[digest]
        if characters <= 0:
            return


def _changed(source: Source, *, lost: int) -> StageError:
    first = printable.line(str(source.files[0].path))
    return StageError(
        StageReason.DATA_UNREADABLE,
        f"{first} and the files beside it: {lost} documents are gone that were there when this stage first read them; "
        "expected data that holds still. Write new data beside it and rename it when it is complete.",
    )
