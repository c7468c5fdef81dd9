"""Reading of a stored residual: its description, and from it and the base the instruct model again.

`residuals/<digest>/` holds the shards, the exceptions, the instruct model's files beside weights, and a description
that names the base it was cut from. Does not make residuals (the stage `extract` does).
"""

import dataclasses
import enum
import json
import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelrefresh.contract import codec
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.models import model_folder
from modelrefresh_jobs.models.model_folder import Model
from modelrefresh_jobs.process.errors import StageError, shown
from modelrefresh_jobs.storage import sealed
from modelrefresh_jobs.tensors import dtypes, safetensors_reader
from modelrefresh_jobs.tensors.dtypes import Bits, Format, Scratch
from modelrefresh_jobs.tensors.safetensors_reader import Reader, Tensor
from modelrefresh_jobs.weights import difference, exceptions, residual_math
from modelrefresh_jobs.weights.residual_math import Forms

KIND = "residual"
DESCRIPTION = "residual.json"


class Encoding(enum.StrEnum):
    """How a residual is stored."""

    DIFFERENCE = "difference"
    """Numbers and exceptions, see `difference`."""
    XOR = "xor"
    """Patterns, see `residual_math`."""


STEMS = {Encoding.DIFFERENCE: "model", Encoding.XOR: "residual"}
"""Name of the shards by encoding; that of numbers is the one that other tools look for."""
_ENCODINGS = " and ".join(Encoding)
Residual = Callable[[int, int, Bits], Any]
"""`(first, last, start)` of weights `[first, last)`: the other model's bits, or the residual as numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The weights of a stored residual."""

    folder: pathlib.Path
    encoding: Encoding
    tensors: Mapping[str, Tensor]
    exceptions: Mapping[str, Tensor]

    def dtype(self, forms: Forms) -> str:
        """How safetensors spells the format in which a tensor of this pair is stored."""
        return forms.stored.bits_name if self.encoding is Encoding.XOR else forms.stored.name

    def restore(self, name: str, forms: Forms, reader: Reader, scratch: Scratch) -> Residual:
        """What gives the bits of one tensor of the model that the residual was cut from."""
        tensor = self.tensors[name]
        if self.encoding is Encoding.XOR:
            return lambda first, last, start: residual_math.restore_xor(
                start, reader.bits(tensor, first, last), forms, scratch
            )
        places, weights = exceptions.read(self.exceptions, tensor, forms.other, reader)

        def restored(first: int, last: int, start: Bits) -> Bits:
            other = difference.decode(start, reader.bits(tensor, first, last), forms, scratch)
            # Of the positions' own dtype, or all of them would be converted for each slice.
            low, high = np.searchsorted(places, np.array((first, last), dtype=places.dtype))
            other[places[low:high].astype(np.intp) - first] = weights[low:high]
            return other

        return restored

    def values(self, name: str, reader: Reader, scratch: Scratch, buffer: str = "residual") -> Residual:
        """What gives `instruct - base` of one tensor in float64, as it is stored; not of patterns."""
        tensor = self.tensors[name]
        return lambda first, last, _: dtypes.widen(reader.bits(tensor, first, last), tensor.form, scratch, buffer)

    @property
    def rows(self) -> int:
        """Rows of the embedding, which are the instruct model's."""
        return self.tensors[model_folder.EMBEDDING].shape[0] if model_folder.EMBEDDING in self.tensors else 0

    def with_rows(self, rows: int) -> "Stored":
        """The same with this many rows of embedding and head, cut or filled up with zeros."""
        return dataclasses.replace(self, tensors=model_folder.with_rows(self.tensors, rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """Formats of one tensor, as safetensors spells them."""

    base: str
    instruct: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The description of a stored residual (residual.json)."""

    architecture: str
    base_fingerprint: str
    """Of the weights, as `model_folder.fingerprint` gives it; so is the next."""
    instruct_fingerprint: str
    encoding: str = "xor"
    """How the shards encode it: `difference`, or `xor` up to the release before."""
    base_rows: int | None = None
    """Rows of the base's embedding, where the instruct model has another number; rows beyond are stored whole."""
    mixed: Mapping[str, Formats] | None = None
    """By name, the tensors whose formats differ; for all others the base's format is the instruct model's."""

    def formats(self, start: Model, *, direct: bool) -> dict[str, Format]:
        """By tensor, the formats of the pair's other model: the instruct model, with Direct the base."""
        others = {name: one.base if direct else one.instruct for name, one in (self.mixed or {}).items()}
        return {name: dtypes.FORMATS[others.get(name, tensor.dtype)] for name, tensor in start.tensors.items()}


def verify(folder: pathlib.Path, *, below: tuple[str, ...] = ("",)) -> None:
    """Prove every byte of a stored residual, or of what lies below some of its names.

    Raises:
        StageError: ResidualIncompatible.
    """
    try:
        sealed.verify(folder, deep=True, below=below)
    except sealed.BrokenSealError as error:
        message = f"stored residual {error}: make the InstructionResidual anew, so that it is extracted again"
        raise StageError(StageReason.RESIDUAL_INCOMPATIBLE, message) from error


def read_description(folder: pathlib.Path) -> Description:
    """The description of a stored residual.

    Raises:
        StageError: ResidualIncompatible, when it is not sealed, or has an encoding or number formats unknown here.
    """
    try:
        sealed.verify(folder, deep=False)
        found = codec.from_document(Description, json.loads((folder / DESCRIPTION).read_text()))
    except (sealed.BrokenSealError, OSError, ValueError, RecursionError) as error:
        message = f"{folder}: not a whole residual: {error}; extract it again"
        raise StageError(StageReason.RESIDUAL_INCOMPATIBLE, message) from error
    if found.encoding not in tuple(Encoding):
        message = f"{folder}: encoding {shown(found.encoding)}; this version reads {_ENCODINGS}: extract it again"
        raise StageError(StageReason.RESIDUAL_INCOMPATIBLE, message)
    named = {name for one in (found.mixed or {}).values() for name in (one.base, one.instruct)}
    if odd := sorted(named - set(dtypes.FORMATS)):
        message = f"{folder}: number formats {odd}; this version reads {sorted(dtypes.FORMATS)}: extract it again"
        raise StageError(StageReason.RESIDUAL_INCOMPATIBLE, message)
    return found


def open_shards(folder: pathlib.Path, encoding: str) -> Stored:
    """The stored residual's tensors, in the shapes of the model's weights.

    Raises:
        StageError: ModelUnreadable, when the shards are missing or damaged.
    """
    return Stored(
        folder=folder,
        encoding=Encoding(encoding),
        tensors=safetensors_reader.open_folder(folder, stem=STEMS[Encoding(encoding)]),
        exceptions=exceptions.open_folder(folder),
    )
