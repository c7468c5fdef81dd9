"""First reading of a data source: is it readable, what does it hold, has it changed?

Reads everything once without a tokenizer, so that damaged data and unchanged data cost
seconds. The fingerprint covers the distinct documents in any order and the settings that
shape the blocks. Decides which documents are worth keeping by length and exact equality, and
in which order they are worth learning; near duplicates are found later, among those.
"""

import array
import datetime as dt
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelrefresh.contract.stages.prepare import PrepareInput
from modelrefresh.contract.vocabulary import Sampling
from modelrefresh_jobs.corpus import deduplication
from modelrefresh_jobs.corpus.reading import dates, documents

Array = np.ndarray[Any, Any]
MIN_BYTES = 20
"""Bytes in UTF-8, without white space at the ends, below which a text is dropped as too short.

Not characters: seven Chinese ones take 21 bytes and can be a sentence.
"""
UNDATED = np.iinfo(np.int64).min
"""Stands for the date of a document without a plausible one."""
_DIGEST = "S16"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What one source holds. Its distinct kept documents are rows in ascending order of their digests."""

    documents: int
    """Documents read."""
    dropped: dict[str, int]
    """Documents by reason: "empty", "too_short", "duplicate"."""
    digests: Array
    """`deduplication.digest` of each row, `[rows]`, bytes of length 16."""
    lengths: Array
    """Characters, `[rows]`, int32."""
    dates: Array
    """Newest plausible date in seconds since 1970 UTC, or `UNDATED`, `[rows]`, int64."""
    unusable_dates: int
    """Documents whose date cannot be read, or is not plausible on the day of the prepare stage."""

    def rows(self, digests: list[bytes]) -> Array:
        """The row of each of these digests, `[digests]`; -1 for one that was not kept."""
        if not len(self.digests):
            return np.full(len(digests), -1)
        wanted = np.array(digests, _DIGEST)
        places = np.minimum(np.searchsorted(self.digests, wanted), len(self.digests) - 1)
        return np.where(self.digests[places] == wanted, places, -1)


def drop_reason(text: str) -> str | None:
    """Why a text is dropped for itself alone; None where it is long enough."""
    length = len(text.strip().encode())
    return ("too_short" if length else "empty") if length < MIN_BYTES else None


def of(source: Iterable[documents.Document], *, today: dt.date) -> Scan:
    """Read a source to its end; dates after `today` are not plausible. Takes some 30 bytes for each document."""
    count, unusable = 0, 0
    dropped: dict[str, int] = {}
    digests, lengths, when = bytearray(), array.array("i"), array.array("q")
    for document in source:
        count += 1
        plausible = document.date is not None and dates.is_plausible(document.date, today=today)
        unusable += document.claims_date and not plausible
        if reason := drop_reason(document.text):
            dropped[reason] = dropped.get(reason, 0) + 1
            continue
        digests += deduplication.digest(document.text)
        lengths.append(len(document.text))
        when.append(dates.seconds(document.date) if document.date is not None and plausible else UNDATED)
    found = np.frombuffer(bytes(digests), _DIGEST)
    # Stable: of equal texts the first in reading order counts. It is as new as the newest of them.
    order = np.argsort(found, kind="stable")
    firsts = np.flatnonzero(np.concatenate([np.ones(min(1, len(found)), bool), found[order[1:]] != found[order[:-1]]]))
    if again := len(found) - len(firsts):
        dropped["duplicate"] = again
    return Scan(
        documents=count,
        dropped=dropped,
        digests=found[order[firsts]],
        lengths=np.array(lengths, np.int32)[order[firsts]],
        dates=np.maximum.reduceat(np.array(when, np.int64)[order], firsts) if len(firsts) else np.empty(0, np.int64),
        unusable_dates=unusable,
    )


def order(source: Scan, *, sampling: Sampling, seed: int) -> Array:
    """Rows of the kept documents, those to learn first at the front; independent of the order of files.

    Shuffled by seed; with `Newest` then sorted by date, newest first, those without a date at the end.
    """
    key, content = seed.to_bytes(8, "big"), source.digests.tobytes()
    drawn = bytearray()
    for start in range(0, len(content), 16):
        drawn += hashlib.blake2b(content[start : start + 16], key=key, digest_size=8).digest()
    shuffled = np.frombuffer(bytes(drawn), ">u8")
    if sampling is Sampling.NEWEST:
        return np.lexsort((shuffled, np.where(source.dates == UNDATED, np.iinfo(np.int64).max, -source.dates)))
    return np.argsort(shuffled, kind="stable")


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
        if scanned:
            content.update(scanned.digests.tobytes())
    return content.hexdigest()
