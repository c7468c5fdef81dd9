"""Packing of token sequences into blocks of one length.

A document that does not fit goes on in the next block, and only the last block is padded.
Beside each token stands a mark (start of a document, rest of one, padding); training restarts positions at
starts and keeps documents from attending to each other. Blocks in which nothing can be predicted are left out: of
a last block with one token that one is lost, mostly an end token. Array suffixes: b blocks, l tokens of a block.
Knows no text and no tokenizer.
"""

import pathlib
import tokenize
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process.errors import StageError

REST, START, PADDING = 0, 1, 2
"""Marks."""
TOKENS, MARKS = "tokens.npy", "marks.npy"
_ROWS = 4096
"""Blocks of which marks are held in memory at once."""
Array = np.ndarray[Any, Any]
Blocks = tuple[Array, Array]
"""Token ids and marks, both `[blocks, length]`; int32 and uint8 as `BlockWriter` and `mix` write them."""


class BlockWriter:
    """Appends documents to two raw files, of token ids (int32) and of marks (uint8), in a folder that it makes."""

    def __init__(self, folder: pathlib.Path, *, sequence_length: int, padding_token: int) -> None:
        folder.mkdir()
        self._paths = (folder / "tokens", folder / "marks")
        self._files = tuple(path.open("wb") for path in self._paths)
        self._length, self._padding_token = sequence_length, padding_token
        self.tokens = 0
        """Tokens added so far; no padding."""

    def add(self, ids: Array | Sequence[int]) -> None:
        """Append one document, `[tokens]`, at least one."""
        np.asarray(ids, np.int32).tofile(self._files[0])
        self._files[1].write(bytes([START]) + bytes([REST]) * (len(ids) - 1))
        self.tokens += len(ids)

    def close(self) -> Blocks:
        """Pad the last block and return all blocks, memory-mapped."""
        missing = -self.tokens % self._length
        np.full(missing, self._padding_token, np.int32).tofile(self._files[0])
        self._files[1].write(bytes([PADDING]) * missing)
        for file in self._files:
            file.close()
        if not self.tokens:
            return np.empty((0, self._length), np.int32), np.empty((0, self._length), np.uint8)
        found = np.memmap(self._paths[0], np.int32, mode="r").reshape(-1, self._length)
        return found, np.memmap(self._paths[1], np.uint8, mode="r").reshape(-1, self._length)


def tokens(marks_bl: Array) -> Array:
    """Number of tokens of each block that are not padding, `[blocks]`, int64."""
    return _by_row(marks_bl, lambda part: (part != PADDING).sum(axis=1))


def learnable(marks_bl: Array) -> Array:
    """Ascending indices of the blocks in which a token follows another of its document: there is a label."""
    return np.flatnonzero(_by_row(marks_bl, lambda part: (part[:, 1:] == REST).sum(axis=1)))


def _by_row(marks_bl: Array, count: Callable[[Array], Array]) -> Array:
    """A count per block, of some blocks at a time: marks may be larger than the memory."""
    parts = [count(marks_bl[start : start + _ROWS]) for start in range(0, len(marks_bl), _ROWS)]
    return np.concatenate([np.empty(0, np.int64), *parts])


def mix(folder: pathlib.Path, fresh: Blocks, replay: Blocks) -> int:
    """Write the learnable blocks of both as .npy files, replay spread evenly; returns the number of blocks."""
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
    """The mixed order of two numbers of blocks, as (is replay, index among its own kind)."""
    total, taken = fresh + replay, 0
    for row in range(total):
        if (row + 1) * replay // total > taken:
            yield True, taken
            taken += 1
        else:
            yield False, row - taken


def load(folder: pathlib.Path) -> Blocks:
    """Token ids and marks of a packed folder as memory maps, both `[blocks, length]` of whole numbers.

    Raises:
        StageError: DataUnreadable, when the files are damaged.
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


def positions(marks_l: Array) -> Array:
    """Position of each token of one block within its document, `[length]`, int64.

    Counts from 0 at each start, at the first padding and at the first token of the block.
    """
    index = np.arange(len(marks_l))
    begins = (marks_l == START) | (np.diff(marks_l == PADDING, prepend=False) & (marks_l == PADDING))
    begins[0] = True
    return index - np.maximum.accumulate(np.where(begins, index, 0))
