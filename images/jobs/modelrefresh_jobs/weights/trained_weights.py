"""Trained weights as values: a complete checkpoint, or an adapter over the start model.

Both give float64 values of any span of whole rows of any tensor; an adapter is folded on the way and never
written anywhere. Knows no residual.
"""

import pathlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from modelrefresh_jobs.models import model_folder
from modelrefresh_jobs.models.model_folder import Model
from modelrefresh_jobs.tensors import dtypes
from modelrefresh_jobs.tensors.dtypes import Scratch, Values
from modelrefresh_jobs.tensors.safetensors_reader import Reader, Tensor
from modelrefresh_jobs.weights import compatibility, lora_folding
from modelrefresh_jobs.weights.lora_folding import Adapter

Span = Callable[[int, int, Values], Values]
"""`(first, last, start) -> trained`: values of weights `[first, last)`, both arrays `[last - first]`.

The result may be the array `start` itself.
"""


class Trained(Protocol):
    """Trained weights, however they are stored."""

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats in which they are stored, sorted, as safetensors spells them."""

    def tensor(self, name: str, reader: Reader, scratch: Scratch) -> Span:
        """A function that gives the values of spans of one tensor; a span holds whole rows."""

    def with_rows(self, rows: int) -> "Trained":
        """The same with this many rows of embedding and head, cut or filled up with zeros."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """A complete checkpoint."""

    model: Model

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats of the checkpoint."""
        return self.model.formats

    def tensor(self, name: str, reader: Reader, scratch: Scratch) -> Span:
        """Values read from the checkpoint."""
        return _reading(self.model.tensors[name], reader, scratch)

    def with_rows(self, rows: int) -> "Full":
        """As `Trained` says."""
        return Full(model=self.model.with_rows(rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted:
    """The start model with an adapter folded in."""

    start: Model
    adapter: Adapter

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats of the adapter."""
        own = [
            *self.adapter.replaced.values(),
            *(one for pair in self.adapter.folded.values() for one in (pair.a, pair.b)),
        ]
        return tuple(sorted({tensor.dtype for tensor in own}))

    def tensor(self, name: str, reader: Reader, scratch: Scratch) -> Span:
        """Values read from the adapter, folded, or the start's own."""
        if name in self.adapter.replaced:
            return _reading(self.adapter.replaced[name], reader, scratch)
        if name not in self.adapter.folded:
            return lambda _first, _last, start: start
        change = lora_folding.load(self.adapter.folded[name], reader)
        return lambda first, last, start: change.added(first, last, start, scratch)

    def with_rows(self, rows: int) -> "Adapted":
        """As `Trained` says."""
        return Adapted(start=self.start.with_rows(rows), adapter=self.adapter.with_rows(rows))


def accept(folder: pathlib.Path, start: Model) -> Trained:
    """Look at what training left and fit it to the model it started from.

    Raises:
        StageError: ResidualIncompatible, when it is not the start with other values, or cannot be folded.
        StageError: ModelUnreadable, when a file is missing, damaged or would run code.
    """
    if lora_folding.is_adapter(folder):
        return Adapted(start=start, adapter=lora_folding.accept(folder, start))
    model = model_folder.accept(folder)
    compatibility.check_trained(start, model)
    return Full(model=model)


def _reading(tensor: Tensor, reader: Reader, scratch: Scratch) -> Span:
    return lambda first, last, _start: dtypes.widen(reader.bits(tensor, first, last), tensor.form, scratch, "trained")
