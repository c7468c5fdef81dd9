"""One pass over all weights: start, trained and residual in, the candidate's shards out.

Every slice is computed by one function, which also answers for the check of what lies on disk
afterwards. Memory does not depend on the model's size. Knows no URIs and no configuration.
"""

import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh_jobs import floats, folding, residual, sealed, shards, tensors
from modelrefresh_jobs.failures import StageError
from modelrefresh_jobs.floats import Bits, Values
from modelrefresh_jobs.folding import Adapter
from modelrefresh_jobs.intake import Model
from modelrefresh_jobs.progress import Progress
from modelrefresh_jobs.residual import Gauges
from modelrefresh_jobs.shards import Planned, Shard
from modelrefresh_jobs.tensors import Reader, Tensor

Span = Callable[[int, int], Values]


class Trained(Protocol):
    """Trained weights, however they are stored."""

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats in which they are stored."""

    def tensor(self, name: str, reader: Reader) -> Span:
        """A function that gives the values of a span of one tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """A complete checkpoint."""

    model: Model

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats of the checkpoint."""
        return self.model.formats

    def tensor(self, name: str, reader: Reader) -> Span:
        """Read from the checkpoint."""
        return _reading(self.model.tensors[name], reader)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted:
    """The start model with an adapter folded in, never written anywhere."""

    start: Model
    adapter: Adapter

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats of the adapter."""
        own = [*self.adapter.replaced.values(), *(pair.a for pair in self.adapter.folded.values())]
        return tuple(sorted({tensor.dtype for tensor in own}))

    def tensor(self, name: str, reader: Reader) -> Span:
        """Read from adapter or start, or fold."""
        plain = _reading(self.adapter.replaced.get(name, self.start.tensors[name]), reader)
        if name not in self.adapter.folded:
            return plain
        change = folding.load(self.adapter.folded[name], reader)
        return lambda start, stop: plain(start, stop) + change.values(start, stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What is combined."""

    start: Model
    trained: Trained
    residual: Mapping[str, Tensor]
    scale: float | None
    """None: the trained weights are the candidate, the residual is only measured (Direct)."""


@dataclass(slots=True, kw_only=True)
class _Work:
    """The open files of a pass."""

    parts: Parts
    reader: Reader
    gauges: Gauges = field(default_factory=Gauges)
    done: int = 0


def check(parts: Parts, folder: pathlib.Path) -> None:
    """Refuse a residual whose tensors are not the start's.

    Raises:
        StageError: all differences are listed.
    """
    ours = {name: (tensor.form.bits_name, tensor.shape) for name, tensor in parts.start.tensors.items()}
    theirs = {name: (tensor.dtype, tensor.shape) for name, tensor in parts.residual.items()}
    if ours != theirs:
        names = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
        faults = "; ".join(f"{name}: start {ours.get(name)}, residual {theirs.get(name)}" for name in names)
        raise StageError("ResidualIncompatible", f"{folder} does not fit {parts.start.folder}: {faults}")


def write(parts: Parts, made: sealed.Draft, *, progress: Progress) -> tuple[Gauges, tuple[Shard, ...]]:
    """Write all shards into the draft, then read samples back and compare."""
    planned = [Planned(name=one.name, dtype=one.dtype, shape=one.shape) for one in parts.start.tensors.values()]
    layout = shards.plan(planned)
    with Reader() as reader:
        work = _Work(parts=parts, reader=reader)
        for shard in layout:
            made.known[shard.file] = _write_shard(work, shard, made.path, progress)
        shards.write_index(made.path, layout)
        _verify(work, made.path)
        return work.gauges, layout


def _write_shard(work: _Work, shard: Shard, folder: pathlib.Path, progress: Progress) -> str:
    with shards.Writer(folder, shard, metadata={"format": "pt"}) as writer:
        for planned in shard.tensors:
            trained = work.parts.trained.tensor(planned.name, work.reader)
            for span in tensors.slices(work.parts.start.tensors[planned.name]):
                writer.write(_slice(work, planned.name, span, trained(*span), work.gauges))
            _require_finite(work, planned.name)
            work.done += 1
            progress.report(work.done, len(work.parts.start.tensors), unit="tensors")
        return writer.finish()


def _slice(work: _Work, name: str, span: tuple[int, int], trained: Values, gauges: Gauges) -> Bits:
    tensor, scale = work.parts.start.tensors[name], work.parts.scale
    start, stored = work.reader.bits(tensor, *span), work.reader.bits(work.parts.residual[name], *span)
    before = floats.widen(start, tensor.form)
    if scale is None:
        # Direct: the start is the instruct model, so the exclusive or leads back to the base.
        change = before - floats.widen(residual.restore(start, stored), tensor.form)
        merged = floats.narrow(trained, tensor.form)
    else:
        merged, change = residual.add(start, trained, stored, form=tensor.form, scale=scale)
    gauges.measure(before, trained - before, change)
    if not floats.is_finite(merged, tensor.form) and np.isfinite(trained).all():
        message = f"{name}: the sum exceeds {tensor.dtype}; the residual does not suit these weights, lower its scale"
        raise StageError("ResidualIncompatible", message)
    return merged


def _require_finite(work: _Work, name: str) -> None:
    if not work.gauges.finite:
        message = f"{name}: infinite or not a number in the trained weights; lower the learning rate"
        raise StageError("TrainingDiverged", message, exit_code=ExitCode.DIVERGED)


def _verify(work: _Work, folder: pathlib.Path) -> None:
    # The first and last slice of every tensor, read back from disk, must be what the inputs give again.
    for name, written in tensors.open_folder(folder).items():
        trained = work.parts.trained.tensor(name, work.reader)
        for span in tensors.ends(written):
            expected = _slice(work, name, span, trained(*span), Gauges())
            if not np.array_equal(work.reader.bits(written, *span), expected):
                raise ValueError(f"{folder}: {name} {span} is not what its inputs give; memory or disk is faulty")


def _reading(tensor: Tensor, reader: Reader) -> Span:
    return lambda start, stop: floats.widen(reader.bits(tensor, start, stop), tensor.form)
