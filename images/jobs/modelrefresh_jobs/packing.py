"""Token blocks of one length, written as a stream and read by memory mapping.

Documents follow each other without gaps: a document that does not fit goes on in the next
block, so no token is lost and only the very last block is padded. Beside each token stands
a mark (start of a document, rest of one, padding), from which training restarts positions
and keeps documents from seeing each other. Knows nothing of text or tokenizers.
"""

import array
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

REST, START, PADDING = 0, 1, 2
TOKENS, MARKS = "tokens.npy", "marks.npy"
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

    def add(self, ids: Sequence[int]) -> None:
        """Append one document."""
        array.array("i", ids).tofile(self._files[0])
        self._files[1].write(bytes([START]) + bytes([REST]) * (len(ids) - 1))
        self.tokens += len(ids)

    def close(self) -> Blocks:
        """All blocks."""
        missing = -self.tokens % self._length
        array.array("i", [self._padding_token] * missing).tofile(self._files[0])
        self._files[1].write(bytes([PADDING]) * missing)
        for file in self._files:
            file.close()
        if not self.tokens:
            return np.empty((0, self._length), np.int32), np.empty((0, self._length), np.uint8)
        found = np.memmap(self._paths[0], np.int32, mode="r").reshape(-1, self._length)
        return found, np.memmap(self._paths[1], np.uint8, mode="r").reshape(-1, self._length)


def tokens(blocks: Blocks, rows: Array | None = None) -> int:
    """Tokens that are not padding, in all blocks or in these rows."""
    marks = blocks[1] if rows is None else blocks[1][rows]
    return int((marks != PADDING).sum())


def mix(folder: pathlib.Path, fresh: Blocks, replay: Blocks, rows: Array) -> int:
    """Write fresh blocks and these rows of replay as one pair of files, replay spread evenly; returns the count."""
    total = len(fresh[0]) + len(rows)
    for name, own, other in ((TOKENS, fresh[0], replay[0]), (MARKS, fresh[1], replay[1])):
        out = np.lib.format.open_memmap(folder / name, mode="w+", dtype=own.dtype, shape=(total, own.shape[1]))
        for row, (is_replay, index) in enumerate(interleave(len(own), len(rows))):
            out[row] = other[rows[index]] if is_replay else own[index]
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
    """Tokens and marks of a packed folder as memory maps."""
    return np.load(folder / TOKENS, mmap_mode="r"), np.load(folder / MARKS, mmap_mode="r")


def positions(marks: Array) -> Array:
    """Position of each token of a block within its document; padding counts as a document of its own."""
    index = np.arange(len(marks))
    begins = (marks == START) | (np.diff(marks == PADDING, prepend=False) & (marks == PADDING))
    begins[0] = True
    return index - np.maximum.accumulate(np.where(begins, index, 0))
