"""Strict reading of safetensors checkpoints, slice by slice.

The library's parser validates every header (offsets, sizes, no gaps); the bytes are then read in slices, so a
model of any size needs a few megabytes. Weights are counted in row-major order, and a span `(first, last)` is
half-open: `[first, last)`. Which files are read is `model_files`' rule. Knows no architecture.
"""

import dataclasses
import errno
import io
import json
import math
import os
import pathlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import safetensors

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process import errors, guarded_files
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import model_files
from modelrefresh_jobs.storage.model_files import MODEL, Weights
from modelrefresh_jobs.tensors import dtypes
from modelrefresh_jobs.tensors.dtypes import Bits, Format

_HEADER = 32 << 20
"""Largest header, in bytes; 100,000 tensors take some ten MiB."""
_TENSORS = 200_000
_RANK = 8
SLICE = 1 << 16
"""Weights per slice, where a row has no more: its float64 copies stay in the processor's caches."""
_SLICES = 2
"""Slices per block, which is what goes from one thread to another: each time costs some ten microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """Name, type and place of one stored tensor."""

    name: str
    dtype: str
    """As safetensors spells it."""
    shape: tuple[int, ...]
    file: pathlib.Path
    offset: int
    """Bytes from the start of the file to the first weight."""
    held: int | None = None
    """Weights that the file holds, where the shape has more rows: the others are zeros. None: all."""

    @property
    def count(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def row(self) -> int:
        """Weights per index of the first axis; 1 for scalars, vectors and an empty first axis."""
        return self.count // self.shape[0] if len(self.shape) > 1 and self.shape[0] else 1

    def with_rows(self, rows: int) -> "Tensor":
        """The same with this many indices of the first axis: cut, or filled up with zeros."""
        if rows == self.shape[0]:
            return self
        held = min(self.count if self.held is None else self.held, rows * self.row)
        return dataclasses.replace(self, shape=(rows, *self.shape[1:]), held=held)

    @property
    def form(self) -> Format:
        """The floating point format; `model_folder.accept` has made sure that it is one."""
        return dtypes.FORMATS[self.dtype]

    @property
    def pattern(self) -> np.dtype[np.unsignedinteger[Any]]:
        """Dtype of its bit patterns: unsigned integers of its width."""
        return np.dtype(dtypes.BITS[self.dtype])


def open_folder(folder: pathlib.Path, *, stem: str = MODEL) -> Mapping[str, Tensor]:
    """All tensors of a folder by name.

    Raises:
        StageError: ModelUnreadable, when there are no safetensors, or files, index and headers do not fit together.
    """
    return open_weights(model_files.weights(folder, stem=stem))


def open_weights(weights: Weights) -> Mapping[str, Tensor]:
    """All tensors of a set of weight files by name.

    Raises:
        StageError: ModelUnreadable, when a file is damaged, or index and headers do not fit together.
    """
    found = [tensor for file in weights.files for tensor in open_file(file).values()]
    if weights.index is not None:
        placed = {(one.name, one.file.name) for one in found}
        wrong = sorted(name for name, shard in weights.shards.items() if (name, shard) not in placed)
        surplus = sorted(f"{name} in {file}" for name, file in placed if weights.shards.get(name) != file)
        if wrong or surplus:
            seen = [f"tensors not where it says: {errors.few(wrong, separator=', ')}"] if wrong else []
            seen += [f"tensors that it does not name there: {errors.few(surplus, separator=', ')}"] if surplus else []
            message = f"{weights.index}: {'; '.join(seen)}; index and shards are of two models, copy them again"
            raise StageError(StageReason.MODEL_UNREADABLE, message)
    return {tensor.name: tensor for tensor in found}


def open_file(path: pathlib.Path) -> Mapping[str, Tensor]:
    """All tensors of one safetensors file by name.

    Raises:
        StageError: ModelUnreadable, when it may not be read, is damaged, or its header is larger than a model's.
    """
    if not os.access(path, os.R_OK):
        # The library would report a missing file.
        seen = f"mode {path.stat().st_mode & 0o777:o} shuts out user id {os.getuid()}"
        hint = "let everybody read it, or set runAsUser or fsGroup in the RefreshProfile"
        raise StageError(StageReason.MODEL_UNREADABLE, f"{path}: {seen}; {hint}")
    try:
        _header(path)
        with safetensors.safe_open(path, framework="numpy"):  # validates the header against the file's length
            pass
    except (safetensors.SafetensorError, OSError) as error:
        fault = type(error).__name__ if guarded_files.is_guarded() else error
        raise StageError(
            StageReason.MODEL_UNREADABLE, f"{path}: not a whole safetensors file ({fault}); copy it again"
        ) from error
    header, length = _header(path)
    return {
        name: Tensor(
            name=name,
            dtype=entry["dtype"],
            shape=tuple(entry["shape"]),
            file=path,
            offset=8 + length + entry["data_offsets"][0],
        )
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _header(path: pathlib.Path) -> tuple[dict[str, Any], int]:
    """The header and its length in bytes; refuses more tensors, axes or bytes than a model has."""
    with guarded_files.opened(path) as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _HEADER:
            seen = f"a header of {length} bytes; expected at most {_HEADER}"
            raise StageError(StageReason.MODEL_UNREADABLE, f"{path}: {seen}: not a model, or damaged")
        try:
            header = json.loads(file.read(length), object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            seen = f"a header that is no JSON object of different names ({type(error).__name__})"
            raise StageError(StageReason.MODEL_UNREADABLE, f"{path}: {seen}; copy it again") from error
    entries = [entry for name, entry in header.items() if name != "__metadata__"] if isinstance(header, dict) else []
    ranks = [
        len(entry["shape"]) for entry in entries if isinstance(entry, dict) and isinstance(entry.get("shape"), list)
    ]
    if len(entries) > _TENSORS or max(ranks, default=0) > _RANK:
        seen = f"{len(entries)} tensors of up to {max(ranks, default=0)} dimensions"
        raise StageError(StageReason.MODEL_UNREADABLE, f"{path}: {seen}; expected at most {_TENSORS} of {_RANK}")
    return header, length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands there twice")
    return found


def blocks(tensor: Tensor) -> Iterator[tuple[int, int]]:
    """Spans `[first, last)` of weights that cover the tensor in order; each but the last holds so many slices."""
    return _spans(0, tensor.count, _step(tensor) * _SLICES)


def slices(tensor: Tensor, block: tuple[int, int] | None = None) -> Iterator[tuple[int, int]]:
    """Spans `[first, last)` that cover the tensor, or a block of it, in order; each holds whole rows, at least one."""
    return _spans(*(block or (0, tensor.count)), _step(tensor))


def ends(tensor: Tensor) -> list[tuple[int, int]]:
    """Spans `[first, last)` of the first and the last slice; one if they are the same, none of an empty tensor."""
    spans = list(slices(tensor))
    return sorted({*spans[:1], *spans[-1:]})


def _step(tensor: Tensor) -> int:
    return max(1, SLICE // tensor.row) * tensor.row


def _spans(first: int, last: int, step: int) -> Iterator[tuple[int, int]]:
    for start in range(first, last, step):
        yield start, min(start + step, last)


class Reader:
    """Reads spans of tensors, from any thread; keeps the files open until the block ends."""

    def __init__(self) -> None:
        self._opening = threading.Lock()
        self._files: dict[pathlib.Path, io.FileIO] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def raw(self, tensor: Tensor, start: int, stop: int) -> bytes:
        """The bytes of weights `[start, stop)`.

        Raises:
            StageError: ModelUnreadable, when the file is no regular file or outside of what may be read.
            OSError: EIO, when the file has become shorter.
        """
        file = self._files.get(tensor.file) or self._open(tensor.file)
        size = tensor.pattern.itemsize
        last = stop if tensor.held is None else max(start, min(stop, tensor.held))
        # Not a memory map: a file that shrinks under it would kill the process by SIGBUS, without a message.
        data = os.pread(file.fileno(), (last - start) * size, tensor.offset + start * size)
        if len(data) != (last - start) * size:
            raise OSError(errno.EIO, f"{tensor.file} became shorter while {tensor.name} was read")
        return data + bytes((stop - last) * size) if last < stop else data

    def bits(self, tensor: Tensor, start: int, stop: int) -> Bits:
        """Weights `[start, stop)` as bit patterns `[stop - start]`, read-only.

        Raises:
            StageError: ModelUnreadable, as `raw` raises it.
            OSError: as `raw` raises it.
        """
        return np.frombuffer(self.raw(tensor, start, stop), dtype=tensor.pattern)

    def _open(self, path: pathlib.Path) -> io.FileIO:
        with self._opening:
            if path not in self._files:
                self._files[path] = guarded_files.opened(path)
            return self._files[path]
