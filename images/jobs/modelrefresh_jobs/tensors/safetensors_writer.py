"""Writing of safetensors checkpoints, slice by slice.

The layout is planned from names, dtypes and shapes alone, so the header is written first and equal tensors
give equal files. Each shard is hashed while it is written. Knows no arithmetic.
"""

import hashlib
import itertools
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from modelrefresh_jobs.storage import model_files
from modelrefresh_jobs.tensors import dtypes

SHARD_BYTES = 4 << 30
"""Most bytes of weights per file, unless one tensor has more."""
_PIECE = 1 << 20
"""Bytes that are hashed at a time."""
_FLUSHED = 256 << 20
"""Bytes that a process places before it waits for the disk, which spares the end a long wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A tensor to be written."""

    name: str
    dtype: str
    """As safetensors spells it; one of `dtypes.BITS`."""
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of all its weights."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.width

    @property
    def width(self) -> int:
        """Bytes of one weight."""
        return np.dtype(dtypes.BITS[self.dtype]).itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One file and its tensors, in the order in which their bytes come."""

    file: str
    tensors: tuple[Planned, ...]


def plan(wanted: Sequence[Planned], *, stem: str = model_files.MODEL) -> tuple[Shard, ...]:
    """Distribute tensors over files of at most `SHARD_BYTES` (a larger tensor gets its own).

    Within and across files the widest dtype comes first, then names in order.
    """
    groups: list[list[Planned]] = [[]]
    filled = 0
    for tensor in sorted(wanted, key=lambda one: (-one.width, one.name)):  # keeps every offset aligned
        if groups[-1] and filled + tensor.size > SHARD_BYTES:
            groups.append([])
            filled = 0
        groups[-1].append(tensor)
        filled += tensor.size
    if len(groups) == 1:
        return (Shard(file=f"{stem}.safetensors", tensors=tuple(groups[0])),)
    return tuple(
        Shard(file=f"{stem}-{number:05d}-of-{len(groups):05d}.safetensors", tensors=tuple(group))
        for number, group in enumerate(groups, 1)
    )


def write_index(folder: pathlib.Path, shards: Sequence[Shard], *, stem: str = model_files.MODEL) -> None:
    """Write the index of several shards; nothing for a single file."""
    if len(shards) == 1:
        return
    document = {
        "metadata": {"total_size": total(shards)},
        "weight_map": {tensor.name: shard.file for shard in shards for tensor in shard.tensors},
    }
    (folder / model_files.index_name(stem)).write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")


def total(shards: Sequence[Shard]) -> int:
    """Bytes of all weights of these shards, without headers."""
    return sum(tensor.size for shard in shards for tensor in shard.tensors)


class Writer:
    """Writes one shard; slices must come in the planned order and fill it exactly."""

    def __init__(self, folder: pathlib.Path, shard: Shard, *, metadata: Mapping[str, str]) -> None:
        self._shard = shard
        self._hash = hashlib.sha256()
        self._due = sum(tensor.size for tensor in shard.tensors)
        self._file = (folder / shard.file).open("w+b")
        self._append(_header(shard, metadata))
        self._file.flush()  # nothing may wait here when others place what follows
        self._end = self._file.tell()
        """Where the hash has come to."""
        starts = itertools.accumulate((tensor.size for tensor in shard.tensors), initial=self._end)
        self._waiting = 0
        """Bytes that this process has placed since it last waited for the disk."""
        self._starts = {tensor.name: start for tensor, start in zip(shard.tensors, starts, strict=False)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: np.ndarray[tuple[int], np.dtype[np.generic]]) -> None:
        """Append the next slice: `[weights]`, of the planned width."""
        self._due -= data.nbytes
        self._append(np.ascontiguousarray(data).data.cast("B"))

    def place(self, tensor: Planned, first: int, data: np.ndarray[tuple[int], np.dtype[np.generic]]) -> None:
        """Write weights of a tensor, from weight `first` on, where they belong; from any process. `follow` comes after.

        Not mixed with `write` in one shard.
        """
        left, offset = np.ascontiguousarray(data).data.cast("B"), self._starts[tensor.name] + first * tensor.width
        while left:
            written = os.pwrite(self._file.fileno(), left, offset)
            left, offset, self._waiting = left[written:], offset + written, self._waiting + written
        if self._waiting >= _FLUSHED:
            os.fdatasync(self._file.fileno())
            self._waiting = 0

    def follow(self, tensor: Planned) -> None:
        """Hash a tensor that has been placed; tensors come in the planned order."""
        end = self._starts[tensor.name] + tensor.size
        while self._end < end and (data := os.pread(self._file.fileno(), min(_PIECE, end - self._end), self._end)):
            self._hash.update(data)
            self._end += len(data)
            self._due -= len(data)

    def finish(self) -> str:
        """Close the file and return its sha256 as hex digits.

        Raises:
            ValueError: when more or fewer bytes were written than planned.
        """
        if self._due:
            raise ValueError(f"{self._shard.file}: {self._due} bytes differ from its header; the merge is wrong")
        self._file.close()
        return self._hash.hexdigest()

    def _append(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self._hash.update(data)


def _header(shard: Shard, metadata: Mapping[str, str]) -> bytes:
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    offset = 0
    for tensor in shard.tensors:
        span = [offset, offset + tensor.size]
        header[tensor.name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": span}
        offset += tensor.size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
