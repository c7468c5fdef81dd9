"""The weights that a difference does not give back, one safetensors file beside the residual's shards.

For a tensor with exceptions `NAME.places` are their positions (row-major, ascending), `NAME.weights` the instruct
model's weights there. How many there are is known only at the end, so until then they wait in unnamed files.
"""

import pathlib
import tempfile
from collections.abc import Mapping
from typing import Self

import numpy as np

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.tensors import dtypes, safetensors_reader, safetensors_writer
from modelrefresh_jobs.tensors.dtypes import Bits, Format
from modelrefresh_jobs.tensors.safetensors_reader import Reader, Tensor
from modelrefresh_jobs.tensors.safetensors_writer import Planned
from modelrefresh_jobs.weights.difference import Places

STEM = "exceptions"
_PLACES, _WEIGHTS = ".places", ".weights"
_WIDTHS = ("U32", "U64")
_PIECE = 1 << 20


class Collector:
    """Takes the exceptions of one tensor after the other and writes them as one file."""

    def __init__(self, folder: pathlib.Path) -> None:
        """Wait on the file system of this folder."""
        self._waiting = {part: tempfile.TemporaryFile(dir=folder) for part in (_PLACES, _WEIGHTS)}  # noqa: SIM115 -- closed at the end of the block
        self._planned: dict[str, Planned] = {}
        self._begin: dict[str, int] = {}
        """By name of what is written: its offset among what waits, where it lies in one piece."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._waiting.values():
            file.close()

    def add(self, tensor: Tensor, first: int, places: Places, weights: Bits, form: Format) -> None:
        """Those of a slice that begins at weight `first`; slices of a tensor come in order, tensors one by one."""
        if places.size:
            wide = "U32" if tensor.count <= 1 << 32 else "U64"
            self._append(tensor.name, _PLACES, (places + np.uint64(first)).astype(dtypes.BITS[wide]), wide)
            self._append(tensor.name, _WEIGHTS, weights, form.name)

    def write(self, folder: pathlib.Path, *, metadata: Mapping[str, str]) -> dict[str, str]:
        """Write the file; gives its sha256 by name, nothing where there are no exceptions."""
        if not self._planned:
            return {}
        found = {}
        for shard in safetensors_writer.plan(tuple(self._planned.values()), stem=STEM):
            with safetensors_writer.Writer(folder, shard, metadata=metadata) as writer:
                for tensor in shard.tensors:
                    self._copy(tensor, writer)
                found[shard.file] = writer.finish()
        return found

    @property
    def count(self) -> int:
        """Exceptions so far."""
        return sum(one.shape[0] for name, one in self._planned.items() if name.endswith(_PLACES))

    @property
    def bytes(self) -> int:
        """Bytes of their positions and weights."""
        return sum(one.size for one in self._planned.values())

    def _append(self, name: str, part: str, values: "np.ndarray[tuple[int], np.dtype[np.generic]]", dtype: str) -> None:
        file, before = self._waiting[part], self._planned.get(name + part)
        self._begin.setdefault(name + part, file.tell())
        file.write(np.ascontiguousarray(values).data.cast("B"))
        count = values.size + (before.shape[0] if before else 0)
        self._planned[name + part] = Planned(name=name + part, dtype=dtype, shape=(count,))

    def _copy(self, tensor: Planned, writer: safetensors_writer.Writer) -> None:
        file = self._waiting[_PLACES if tensor.name.endswith(_PLACES) else _WEIGHTS]
        file.seek(self._begin[tensor.name])
        left = tensor.size
        while left:
            data = file.read(min(left, _PIECE))
            writer.write(np.frombuffer(data, dtype=dtypes.BITS[tensor.dtype]))
            left -= len(data)


def open_folder(folder: pathlib.Path) -> Mapping[str, Tensor]:
    """The tensors of the exceptions by name; empty where there are none.

    Raises:
        StageError: ModelUnreadable, when the file is damaged.
    """
    files = sorted(folder.glob(f"{STEM}*.safetensors"))
    return {name: one for file in files for name, one in safetensors_reader.open_file(file).items()}


def read(tensors: Mapping[str, Tensor], tensor: Tensor, form: Format, reader: Reader) -> tuple[Places, Bits]:
    """Positions and weights of the exceptions of a stored tensor; `form` is that of the weights.

    Raises:
        StageError: ResidualIncompatible, when they are not positions in that tensor with a weight each.
    """
    places, weights = (tensors.get(tensor.name + part) for part in (_PLACES, _WEIGHTS))
    if places is None and weights is None:
        return np.empty(0, np.uint32), np.empty(0, form.bits)
    if places is None or weights is None or weights.dtype != form.name or places.dtype not in _WIDTHS:
        raise _damaged(tensor)
    where, what = (np.frombuffer(reader.raw(one, 0, one.count), dtype=one.pattern) for one in (places, weights))
    if where.size != what.size or not (where[:-1] < where[1:]).all() or (where.size and where[-1] >= tensor.count):
        raise _damaged(tensor)
    return where, what


def _damaged(tensor: Tensor) -> StageError:
    message = f"{tensor.file.parent}: the exceptions of {tensor.name} are no positions in it with a weight each"
    return StageError(StageReason.RESIDUAL_INCOMPATIBLE, f"{message}; it was damaged, extract it again")
