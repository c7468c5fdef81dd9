"""First reading of a data source: is it readable, what does it hold, has it changed?

Reads everything once without a tokenizer, so that damaged data and unchanged data cost
seconds. The fingerprint covers the distinct documents in any order and the settings that
shape the blocks. Decides which documents are worth keeping by length and exact equality, and
in which order they are worth learning; near duplicates are found later, among those.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from modelrefresh.contract.stages.prepare import PrepareInput
from modelrefresh.contract.vocabulary import Sampling
from modelrefresh_jobs.corpus import dates, deduplication, documents

MIN_BYTES = 20
"""Bytes in UTF-8, without white space at the ends, below which a text is dropped as too short.

Not characters: seven Chinese ones take 21 bytes and can be a sentence.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What one source holds; digests are `deduplication.digest`."""

    documents: int
    """Documents read."""
    dropped: dict[str, int]
    """Documents by reason: "empty", "too_short", "duplicate"."""
    lengths: Mapping[bytes, int]
    """Characters of each distinct kept document, by its digest."""
    dates: Mapping[bytes, int]
    """Newest plausible date of those documents that have one, in seconds since 1970 UTC, by digest."""
    unusable_dates: int
    """Documents whose date cannot be read, or is not plausible on the day of the prepare stage."""


@dataclass(slots=True)
class ExactFilter:
    """Keeps each text once; counts the others by reason, as `Scan` has it."""

    dropped: dict[str, int] = field(default_factory=dict)
    lengths: dict[bytes, int] = field(default_factory=dict)

    def sort(self, text: str) -> tuple[bytes | None, str | None]:
        """The text's digest (None if too short) and the reason why it is dropped (None if kept)."""
        length = len(text.strip().encode())
        digest = deduplication.digest(text) if length >= MIN_BYTES else None
        reason = None
        if digest is None:
            reason = "too_short" if length else "empty"
        elif digest in self.lengths:
            reason = "duplicate"
        else:
            self.lengths[digest] = len(text)
        if reason:
            self.dropped[reason] = self.dropped.get(reason, 0) + 1
        return digest, reason


def of(source: Iterable[documents.Document], *, today: dt.date) -> Scan:
    """Read a source to its end; dates after `today` are not plausible."""
    exact, count, unusable = ExactFilter(), 0, 0
    when: dict[bytes, int] = {}
    for document in source:
        count += 1
        digest, _ = exact.sort(document.text)
        if document.date is None or not dates.is_plausible(document.date, today=today):
            unusable += document.claims_date
        elif digest:
            # A text that comes twice is as new as its newest record, whatever the order of files.
            when[digest] = max(dates.seconds(document.date), when.get(digest, dates.seconds(document.date)))
    return Scan(documents=count, dropped=exact.dropped, lengths=exact.lengths, dates=when, unusable_dates=unusable)


def distinct(source: Iterable[documents.Document]) -> Iterator[tuple[bytes, str]]:
    """The texts that `of` keeps as (digest, text), in reading order."""
    exact = ExactFilter()
    for item in source:
        digest, reason = exact.sort(item.text)
        if digest and reason is None:
            yield digest, item.text


def order(source: Scan, *, sampling: Sampling, seed: int) -> list[bytes]:
    """Digests of the kept documents, those to learn first at the front; independent of the order of files.

    Shuffled by seed; with `Newest` then sorted by date, newest first, those without a date at the end.
    """
    key = seed.to_bytes(8, "big")
    drawn = sorted(source.lengths, key=lambda digest: hashlib.blake2b(digest, key=key, digest_size=8).digest())
    if sampling is Sampling.NEWEST:
        drawn.sort(key=lambda digest: -source.dates[digest] if digest in source.dates else float("inf"))
    return drawn


def fingerprint(request: PrepareInput, fresh: Scan, replay: Scan | None) -> str:
    """Identity of the data and of the settings that shape the blocks: sha256 as hex digits."""
    settings = [
        request.base,
        request.sequence_length,
        request.max_tokens,
        request.replay_percent if replay else 0,
        request.seed,
    ]
    if request.sampling is not Sampling.NEWEST:
        settings.append(request.sampling)
    if request.replay_generated:
        settings += ["generated", request.replay_percent]
    content = hashlib.sha256(json.dumps(settings).encode())
    for scanned in (fresh, replay):
        content.update(b"|")
        for digest in sorted(scanned.lengths if scanned else ()):
            content.update(digest)
    return content.hexdigest()
