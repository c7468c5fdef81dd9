"""Reading safetensors checkpoints strictly, slice by slice.

The library's own parser vouches for every header (offsets,
sizes, no gaps); the bytes are then read in slices into reused memory, so a model of any size
needs a few megabytes. Which files are read is `model_files`' rule. Knows no architecture.
"""

import errno
import io
import json
import math
import os
import pathlib
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
"""Bytes of a header; 100,000 tensors take some ten MiB."""
_TENSORS = 200_000
_RANK = 8
SLICE = 1 << 15
"""Weights per slice: the float64 copies of a slice stay in the processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """Where one tensor lies."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: pathlib.Path
    offset: int

    @property
    def count(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def row(self) -> int:
        """Weights per row of the first dimension."""
        return self.count // self.shape[0] if len(self.shape) > 1 and self.shape[0] else 1

    @property
    def form(self) -> Format:
        """The floating point format; `model_folder.accept` has made sure that it is one."""
        return dtypes.FORMATS[self.dtype]

    @property
    def pattern(self) -> np.dtype[np.unsignedinteger[Any]]:
        """Unsigned integers of its width."""
        return np.dtype(dtypes.BITS[self.dtype])


def open_folder(folder: pathlib.Path, *, stem: str = MODEL) -> Mapping[str, Tensor]:
    """All tensors of a folder by name.

    Raises:
        StageError: no safetensors, or files, index and headers do not fit together.
    """
    return open_weights(model_files.weights(folder, stem=stem))


def open_weights(weights: Weights) -> Mapping[str, Tensor]:
    """All tensors of the files that are a model.

    Raises:
        StageError: index and headers do not fit together.
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
    """All tensors of one safetensors file by name."""
    if not os.access(path, os.R_OK):
        # The library would say that there is no such file.
        seen = f"mode {path.stat().st_mode & 0o777:o} shuts out user id {os.getuid()}"
        hint = "let everybody read it, or set runAsUser or fsGroup in the RefreshProfile"
        raise StageError(StageReason.MODEL_UNREADABLE, f"{path}: {seen}; {hint}")
    try:
        _header(path)
        with safetensors.safe_open(path, framework="numpy"):  # validates the header against the file's length
            pass
    except (safetensors.SafetensorError, OSError) as error:
        said = type(error).__name__ if guarded_files.is_guarded() else error
        raise StageError(
            StageReason.MODEL_UNREADABLE, f"{path}: not a whole safetensors file ({said}); copy it again"
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
    """The header and its length in bytes, of a size that a model can have."""
    with guarded_files.opened(path) as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _HEADER:
            seen = f"a header of {length} bytes; expected at most {_HEADER}"
            raise StageError(StageReason.MODEL_UNREADABLE, f"{path}: {seen}: not a model, or damaged")
        try:
            header = json.loads(file.read(length), object_pairs_hook=_once)
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


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands there twice")
    return found


def slices(tensor: Tensor) -> Iterator[tuple[int, int]]:
    """First and last+1 weight of each slice; slices end between rows."""
    step = max(1, SLICE // tensor.row) * tensor.row
    for start in range(0, tensor.count, step):
        yield start, min(start + step, tensor.count)


def ends(tensor: Tensor) -> list[tuple[int, int]]:
    """The first and the last slice."""
    spans = list(slices(tensor))
    return sorted({*spans[:1], *spans[-1:]})


class Reader:
    """Open files of some checkpoints; reads slices of tensors."""

    def __init__(self) -> None:
        self._files: dict[pathlib.Path, io.FileIO] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def raw(self, tensor: Tensor, start: int, stop: int) -> bytes:
        """Weights start to stop (counted in row-major order) as bytes."""
        file = self._files.get(tensor.file)
        if file is None:
            file = self._files[tensor.file] = guarded_files.opened(tensor.file)
        size = tensor.pattern.itemsize
        # Not a memory map: a file that shrinks under it would kill the process without a word.
        data = os.pread(file.fileno(), (stop - start) * size, tensor.offset + start * size)
        if len(data) != (stop - start) * size:
            raise OSError(errno.EIO, f"{tensor.file} became shorter while {tensor.name} was read")
        return data

    def bits(self, tensor: Tensor, start: int, stop: int) -> Bits:
        """The same as bit patterns, read-only."""
        return np.frombuffer(self.raw(tensor, start, stop), dtype=tensor.pattern)
