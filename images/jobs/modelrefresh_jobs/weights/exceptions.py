"""The weights that a difference does not give back, one safetensors file beside the residual's shards.

For a tensor with exceptions `NAME.places` are their positions (row-major, ascending), `NAME.weights` the instruct
model's weights there. How many there are is known only at the end, so until then they wait in unnamed files.
"""

import pathlib
import tempfile
from collections.abc import Mapping
from typing import Self

import numpy as np

from modelrefresh_jobs.tensors import dtypes, safetensors_reader, safetensors_writer
from modelrefresh_jobs.tensors.dtypes import Bits, Format
from modelrefresh_jobs.tensors.safetensors_reader import Reader, Tensor
from modelrefresh_jobs.tensors.safetensors_writer import Planned
from modelrefresh_jobs.weights.difference import Places

STEM = "exceptions"
_PLACES, _WEIGHTS = ".places", ".weights"


class Collector:
    """Takes the exceptions of one tensor after the other and writes them as one file."""

    def __init__(self, folder: pathlib.Path) -> None:
        """Wait on the file system of this folder."""
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 -- closed at the end of the block
        self._parts: dict[str, list[tuple[int, int]]] = {}
        """By name of what is written: offset and bytes of its parts in the waiting file."""
        self._planned: dict[str, tuple[str, int]] = {}
        """By name of what is written: dtype and number."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, tensor: Tensor, first: int, places: Places, weights: Bits, form: Format) -> None:
        """Those of a slice that begins at weight `first`; slices of a tensor come in order."""
        if places.size:
            wide = "U32" if tensor.count <= 1 << 32 else "U64"
            self._append(tensor.name + _PLACES, (places + np.uint64(first)).astype(dtypes.BITS[wide]), wide)
            self._append(tensor.name + _WEIGHTS, weights, form.name)

    def write(self, folder: pathlib.Path, *, metadata: Mapping[str, str]) -> dict[str, str]:
        """Write the file; gives its sha256 by name, nothing where there are no exceptions."""
        planned = [Planned(name=name, dtype=dtype, shape=(count,)) for name, (dtype, count) in self._planned.items()]
        if not planned:
            return {}
        found = {}
        for shard in safetensors_writer.plan(planned, stem=STEM):
            with safetensors_writer.Writer(folder, shard, metadata=metadata) as writer:
                for tensor in shard.tensors:
                    for offset, size in self._parts[tensor.name]:
                        self._file.seek(offset)
                        writer.write(np.frombuffer(self._file.read(size), dtype=dtypes.BITS[tensor.dtype]))
                found[shard.file] = writer.finish()
        return found

    @property
    def count(self) -> int:
        """Exceptions so far."""
        return sum(count for name, (_, count) in self._planned.items() if name.endswith(_PLACES))

    @property
    def bytes(self) -> int:
        """Bytes of their positions and weights."""
        return sum(count * np.dtype(dtypes.BITS[dtype]).itemsize for dtype, count in self._planned.values())

    def _append(self, name: str, values: "np.ndarray[tuple[int], np.dtype[np.generic]]", dtype: str) -> None:
        self._file.seek(0, 2)
        self._parts.setdefault(name, []).append((self._file.tell(), values.nbytes))
        self._file.write(np.ascontiguousarray(values).data.cast("B"))
        self._planned[name] = (dtype, self._planned.get(name, ("", 0))[1] + values.size)


def open_folder(folder: pathlib.Path) -> Mapping[str, Tensor]:
    """The tensors of the exceptions by name; empty where there are none.

    Raises:
        StageError: ModelUnreadable, when the file is damaged.
    """
    files = sorted(folder.glob(f"{STEM}*.safetensors"))
    return {name: one for file in files for name, one in safetensors_reader.open_file(file).items()}


def read(tensors: Mapping[str, Tensor], name: str, reader: Reader) -> tuple[Places, Bits]:
    """Positions and weights of a tensor's exceptions."""
    places, weights = tensors.get(name + _PLACES), tensors.get(name + _WEIGHTS)
    if places is None or weights is None:
        return np.empty(0, np.uint64), np.empty(0, np.uint16)
    where, what = (np.frombuffer(reader.raw(one, 0, one.count), dtype=one.pattern) for one in (places, weights))
    return where.astype(np.uint64), what
