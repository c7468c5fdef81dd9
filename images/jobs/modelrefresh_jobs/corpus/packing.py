"""Token blocks of one length, written as a stream and read by memory mapping.

Documents follow each other without gaps: a document that does not fit goes on in the next
block, so no token is lost and only the very last block is padded; a block in which nothing can
be predicted, such as one token at the end, is left out. Beside each token stands
a mark (start of a document, rest of one, padding), from which training restarts positions
and keeps documents from seeing each other. Knows nothing of text or tokenizers.
"""

import pathlib
import tokenize
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process.errors import StageError

REST, START, PADDING = 0, 1, 2
TOKENS, MARKS = "tokens.npy", "marks.npy"
_ROWS = 4096
Array = np.ndarray[Any, Any]
Blocks = tuple[Array, Array]
"""Tokens and marks, one row per block."""


class BlockWriter:
    """Appends documents to a pair of raw files; `close` pads the last block."""

    def __init__(self, folder: pathlib.Path, *, sequence_length: int, padding_token: int) -> None:
        folder.mkdir()
        self._paths = (folder / "tokens", folder / "marks")
        self._files = tuple(path.open("wb") for path in self._paths)
        self._length, self._padding_token = sequence_length, padding_token
        self.tokens = 0

    def add(self, ids: Array | Sequence[int]) -> None:
        """Append one document."""
        np.asarray(ids, np.int32).tofile(self._files[0])
        self._files[1].write(bytes([START]) + bytes([REST]) * (len(ids) - 1))
        self.tokens += len(ids)

    def close(self) -> Blocks:
        """All blocks."""
        missing = -self.tokens % self._length
        np.full(missing, self._padding_token, np.int32).tofile(self._files[0])
        self._files[1].write(bytes([PADDING]) * missing)
        for file in self._files:
            file.close()
        if not self.tokens:
            return np.empty((0, self._length), np.int32), np.empty((0, self._length), np.uint8)
        found = np.memmap(self._paths[0], np.int32, mode="r").reshape(-1, self._length)
        return found, np.memmap(self._paths[1], np.uint8, mode="r").reshape(-1, self._length)


def tokens(marks: Array) -> Array:
    """Tokens of each block that are not padding."""
    return _by_row(marks, lambda part: (part != PADDING).sum(axis=1))


def learnable(marks: Array) -> Array:
    """Rows of the blocks in which a token follows another of its document, so that there is something to predict."""
    return np.flatnonzero(_by_row(marks, lambda part: (part[:, 1:] == REST).sum(axis=1)))


def _by_row(marks: Array, count: Callable[[Array], Array]) -> Array:
    """A count per row, of some rows at a time: marks may be larger than the memory."""
    parts = [count(marks[start : start + _ROWS]) for start in range(0, len(marks), _ROWS)]
    return np.concatenate([np.empty(0, np.int64), *parts])


def mix(folder: pathlib.Path, fresh: Blocks, replay: Blocks) -> int:
    """Write the learnable blocks of both as one pair of files, replay spread evenly; returns their number."""
    rows = learnable(fresh[1]), learnable(replay[1])
    total = len(rows[0]) + len(rows[1])
    for name, own, other in ((TOKENS, fresh[0], replay[0]), (MARKS, fresh[1], replay[1])):
        out = np.lib.format.open_memmap(folder / name, mode="w+", dtype=own.dtype, shape=(total, own.shape[1]))
        for row, (is_replay, index) in enumerate(interleave(len(rows[0]), len(rows[1]))):
            out[row] = other[rows[1][index]] if is_replay else own[rows[0][index]]
        out.flush()
        del out
    return total


def interleave(fresh: int, replay: int) -> Iterator[tuple[bool, int]]:
    """Rows in mixed order as (is replay, row within its kind)."""
    total, taken = fresh + replay, 0
    for row in range(total):
        if (row + 1) * replay // total > taken:
            yield True, taken
            taken += 1
        else:
            yield False, row - taken


def load(folder: pathlib.Path) -> Blocks:
    """Tokens and marks of a packed folder as memory maps.

    Raises:
        StageError: DataUnreadable, damaged on the disk.
    """
    try:
        tokens, marks = (np.lib.format.open_memmap(folder / name, mode="r") for name in (TOKENS, MARKS))
    except (ValueError, SyntaxError, tokenize.TokenError) as error:  # whatever numpy's reader of headers raises
        message = f"{folder}: its packed blocks are damaged ({error}); remove the folder, the run packs them again"
        raise StageError(StageReason.DATA_UNREADABLE, message) from error
    fits = tokens.ndim == marks.ndim == 2 and tokens.shape == marks.shape and tokens.dtype.kind in "iu"  # noqa: PLR2004
    if not fits or marks.dtype.kind not in "iu":
        seen = f"tokens {tokens.dtype}{list(tokens.shape)}, marks {marks.dtype}{list(marks.shape)}"
        raise StageError(
            StageReason.DATA_UNREADABLE, f"{folder}: its packed blocks are damaged: {seen}; remove the folder"
        )
    return tokens, marks


def positions(marks: Array) -> Array:
    """Position of each token of a block within its document; padding counts as a document of its own."""
    index = np.arange(len(marks))
    begins = (marks == START) | (np.diff(marks == PADDING, prepend=False) & (marks == PADDING))
    begins[0] = True
    return index - np.maximum.accumulate(np.where(begins, index, 0))
