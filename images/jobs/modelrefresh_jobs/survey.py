"""The first reading of a data source: is it readable, what is in it, has it changed?

Reads everything once without a tokenizer, so that damaged data and unchanged data cost
seconds. The fingerprint covers the distinct documents in any order and the settings that
shape the blocks. Decides which documents are worth keeping by length and exact equality;
near duplicates are found later, while packing.
"""

import datetime as dt
import hashlib
import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from modelrefresh.contract import env
from modelrefresh_jobs import documents, duplicates

MIN_CHARACTERS = 20
"""Shorter texts teach nothing but their own end token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What one source holds."""

    documents: int
    dropped: dict[str, int]
    lengths: Mapping[bytes, int]
    """Characters of each distinct document, by its digest."""
    newest: str | None


@dataclass(slots=True)
class Sieve:
    """Lets each text through once; counts the others by reason."""

    dropped: dict[str, int]
    lengths: dict[bytes, int]

    @classmethod
    def fresh(cls) -> "Sieve":
        """A sieve that has seen nothing."""
        return cls({}, {})

    def passes(self, text: str) -> bool:
        """Whether this text is long enough and new."""
        reason = self._fault(text)
        if reason:
            self.dropped[reason] = self.dropped.get(reason, 0) + 1
        return reason is None

    def _fault(self, text: str) -> str | None:
        length = len(text.strip())
        if length < MIN_CHARACTERS:
            return "too_short" if length else "empty"
        digest = duplicates.digest(text)
        if digest in self.lengths:
            return "duplicate"
        self.lengths[digest] = len(text)
        return None


def take(source: Iterable[documents.Document]) -> Survey:
    """Read a source to its end."""
    sieve, count = Sieve.fresh(), 0
    newest: dt.datetime | None = None
    for document in source:
        count += 1
        if sieve.passes(document.text) and document.date and (newest is None or document.date > newest):
            newest = document.date
    return Survey(
        documents=count,
        dropped=sieve.dropped,
        lengths=sieve.lengths,
        newest=newest.isoformat() if newest else None,
    )


def distinct(path: pathlib.Path, *, text_field: str) -> Iterator[str]:
    """The texts that `take` counts as kept, in reading order."""
    sieve = Sieve.fresh()
    return (item.text for item in documents.read(path, text_field=text_field) if sieve.passes(item.text))


def draw(source: Survey, *, characters: float, seed: int) -> frozenset[bytes]:
    """Digests of documents drawn by seed, whatever their order, until they hold this many characters."""
    key = seed.to_bytes(8, "big")
    order = sorted(source.lengths, key=lambda digest: hashlib.blake2b(digest, key=key, digest_size=8).digest())
    drawn: list[bytes] = []
    for digest in order:
        if characters <= 0:
            break
        drawn.append(digest)
        characters -= source.lengths[digest]
    return frozenset(drawn)


def fingerprint(request: env.PrepareInput, fresh: Survey, replay: Survey | None) -> str:
    """Identity of the data and of the settings that shape the blocks."""
    settings = [
        request.base,
        request.sequence_length,
        request.max_tokens,
        request.replay_percent if replay else 0,
        request.seed,
    ]
    content = hashlib.sha256(json.dumps(settings).encode())
    for survey in (fresh, replay):
        content.update(b"|")
        for digest in sorted(survey.lengths if survey else ()):
            content.update(digest)
    return content.hexdigest()
