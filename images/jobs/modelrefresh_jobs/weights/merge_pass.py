"""One pass over all weights: start, trained and residual in, the candidate's shards out.

One function computes every slice, also for the comparison with what was written. Children compute a tensor
at a time and write it in its place, their parent hashes the file behind them. A span `(first, last)` is
`[first, last)` in weights of one tensor. Memory does not depend on the model's size, but for the exceptions of one
tensor for each child. Knows no URIs and no configuration.
"""

import contextlib
import functools
import hashlib
import pathlib
from dataclasses import dataclass, field

import numpy as np
import threadpoolctl

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.models import model_folder
from modelrefresh_jobs.process import forked
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import sealed
from modelrefresh_jobs.tensors import dtypes, safetensors_reader, safetensors_writer
from modelrefresh_jobs.tensors.dtypes import Bits, Scratch, Values
from modelrefresh_jobs.tensors.safetensors_reader import Reader, Tensor
from modelrefresh_jobs.tensors.safetensors_writer import Planned, Shard
from modelrefresh_jobs.weights import residual_math
from modelrefresh_jobs.weights.merge_inputs import MergeInputs, Previous
from modelrefresh_jobs.weights.residual_math import Norms, Slice
from modelrefresh_jobs.weights.stored_residual import Residual
from modelrefresh_jobs.weights.trained_weights import Span


@dataclass(slots=True, kw_only=True)
class _Pass:
    """State of the one pass."""

    parts: MergeInputs
    reader: Reader
    scratch: Scratch = field(default_factory=Scratch)
    norms: Norms = field(default_factory=Norms)
    hashes: dict[str, str] = field(default_factory=dict)
    """sha256 of the other model's tensors, as start and residual give them, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tensor:
    """One tensor in all that is combined."""

    start: Tensor
    trained: Span
    residual: Residual
    added: tuple[tuple[float, Residual], ...]
    """Factors and numbers."""


def write(parts: MergeInputs, made: sealed.Draft, *, progress: Progress) -> tuple[Norms, tuple[Shard, ...]]:
    """Write all shards into the draft, then read samples back and compare; the norms are over all weights.

    Raises:
        StageError: TrainingDiverged, when a trained weight is not finite.
        StageError: ResidualIncompatible, when a sum exceeds its format or a residual is damaged.
        StageError: ModelUnreadable, when the start or what is averaged with has a weight that is not finite.
        ValueError: when a shard read back differs from what was computed.
    """
    planned = [
        Planned(name=one.name, dtype=parts.written(one.name).name, shape=one.shape)
        for one in parts.start.tensors.values()
    ]
    layout = safetensors_writer.plan(planned)
    # BLAS's own threads would cost ten times the work on matrices of this size.
    with Reader() as reader, threadpoolctl.threadpool_limits(1, user_api="blas"):
        work = _Pass(parts=parts, reader=reader)
        for shard in layout:
            made.known[shard.file] = _write_shard(work, shard, made.path, progress)
        safetensors_writer.write_index(made.path, layout)
        if parts.restores and model_folder.combine(work.hashes, parts.start, parts.formats) != parts.other:
            pair = f"{parts.residual.folder} with {parts.start.folder}"
            message = f"{pair} does not give the model back that it was cut from"
            raise StageError(StageReason.RESIDUAL_INCOMPATIBLE, f"{message}; it was damaged, extract it again")
        _verify(work, made.path)
    return work.norms, layout


def _write_shard(work: _Pass, shard: Shard, folder: pathlib.Path, progress: Progress) -> str:
    with safetensors_writer.Writer(folder, shard, metadata={"format": "pt"}) as writer:
        with contextlib.closing(forked.in_order(functools.partial(_write_tensor, work, writer), shard.tensors)) as done:
            for planned, (norms, other) in zip(shard.tensors, done, strict=True):
                work.norms.add(norms)
                work.hashes[planned.name] = other
                writer.follow(planned)
                progress.report(len(work.hashes), len(work.parts.start.tensors), unit="tensors")
        return writer.finish()


def _write_tensor(work: _Pass, writer: safetensors_writer.Writer, planned: Planned) -> tuple[Norms, str]:
    name, norms, other = planned.name, Norms(), hashlib.sha256()
    given = _open(work, name)
    for span in safetensors_reader.slices(given.start):
        piece = _slice(work, given, span)
        if piece.other is not None:
            other.update(piece.other.data)
        norms.measure(piece.values, piece.residual, piece.drift)
        merged = _merged(work, given, span, piece)
        if not norms.finite or not dtypes.is_finite(merged, work.parts.written(name)):
            raise _not_finite(work, given, span)
        writer.place(planned, span[0], merged)
    return norms, other.hexdigest()


def _open(work: _Pass, name: str) -> _Tensor:
    parts, reader, scratch = work.parts, work.reader, work.scratch
    read = functools.partial(parts.residual.restore, name, parts.forms(name)) if parts.restores else None
    return _Tensor(
        start=parts.start.tensors[name],
        trained=parts.trained.tensor(name, reader, scratch),
        residual=read(reader, scratch) if read else parts.residual.values(name, reader, scratch),
        added=tuple((one.scale, one.stored.values(name, reader, scratch, "added")) for one in parts.added),
    )


def _slice(work: _Pass, given: _Tensor, span: tuple[int, int]) -> Slice:
    start, forms = work.reader.bits(given.start, *span), work.parts.forms(given.start.name)
    training, found = functools.partial(given.trained, *span), given.residual(*span, start)
    if work.parts.restores:
        return residual_math.compare(start, found, training, forms, work.scratch)
    if work.parts.scale is None:
        np.negative(found, out=found)  # it leads from base to instruct, and instruct is the start
    return residual_math.apply(start, found, training, forms, work.scratch)


def _merged(work: _Pass, given: _Tensor, span: tuple[int, int], piece: Slice) -> Bits:
    parts, held, name = work.parts, given.start.held, given.start.name
    scale = parts.scale_of(name)
    own = len(piece.values) if held is None else max(0, held - span[0])
    if parts.added or parts.previous:
        # Rows that only the instruct model has are its own, whatever the factor; what is added is added to them too.
        factors = np.full(len(piece.values), scale or 0.0)
        factors[own:] = 1.0
        return _composed(work, given, span, piece, factors)
    if scale is None:
        return dtypes.narrow(piece.trained, piece.forms.start, work.scratch)
    merged = residual_math.add(piece, scale=scale, scratch=work.scratch)
    if own < len(merged):
        merged = merged.copy()
        found = given.residual(*span, piece.start)
        merged[own:] = found[own:] if parts.restores else dtypes.narrow(found[own:], piece.forms.other)
    return merged


def _composed(work: _Pass, given: _Tensor, span: tuple[int, int], piece: Slice, factors: Values) -> Bits:
    parts, name = work.parts, given.start.name
    sums = residual_math.sum_of(
        piece, factors, added=((factor, read(*span, piece.start)) for factor, read in given.added)
    )
    if parts.previous:
        sums = residual_math.mean(sums, _served(work, parts.previous, name, span), share=parts.previous.share)
    return dtypes.narrow(sums, parts.written(name), work.scratch)


def _served(work: _Pass, previous: Previous, name: str, span: tuple[int, int]) -> Values:
    tensor = previous.model.tensors[name]
    return dtypes.widen(work.reader.bits(tensor, *span), tensor.form, work.scratch, "previous")


def _not_finite(work: _Pass, given: _Tensor, span: tuple[int, int]) -> StageError:
    """Which part of a sum is not finite; all are read once more, since the sum was made in their place."""
    parts, name = work.parts, given.start.name
    piece, seen = _slice(work, given, span), f"{name}: infinite or not a number in"
    if not np.isfinite(piece.values).all():
        message = f"{seen} {parts.start.folder}; the checkpoint is damaged, fetch it again"
        return StageError(StageReason.MODEL_UNREADABLE, message)
    if not np.isfinite(piece.trained).all():
        message = f"{seen} the trained weights; lower the learning rate"
        return StageError(StageReason.TRAINING_DIVERGED, message, exit_code=ExitCode.DIVERGED)
    if not np.isfinite(piece.residual).all():
        return _damaged(f"{seen} the residual {parts.residual.folder}")
    for one, (_, read) in zip(parts.added, given.added, strict=True):
        if not np.isfinite(read(*span, piece.start)).all():
            return _damaged(f"{seen} the added residual {one.stored.folder}")
    if parts.previous and not np.isfinite(_served(work, parts.previous, name, span)).all():
        message = f"{seen} {parts.previous.model.folder}, which the sum is averaged with; leave the average out"
        return StageError(StageReason.MODEL_UNREADABLE, message)
    several = "the residuals do not suit these weights, lower their scales"
    hint = several if parts.added else "the residual does not suit these weights, lower its scale"
    return StageError(StageReason.RESIDUAL_INCOMPATIBLE, f"{name}: the sum exceeds {parts.written(name).name}; {hint}")


def _damaged(seen: str) -> StageError:
    return StageError(StageReason.RESIDUAL_INCOMPATIBLE, f"{seen}; it was damaged, extract it again")


def _verify(work: _Pass, folder: pathlib.Path) -> None:
    # The first and last slice of every tensor, read back from disk, must be what the inputs give again.
    for name, written in safetensors_reader.open_folder(folder).items():
        given = _open(work, name)
        for span in safetensors_reader.ends(written):
            expected = _merged(work, given, span, _slice(work, given, span))
            if not np.array_equal(work.reader.bits(written, *span), expected):
                raise ValueError(f"{folder}: {name} {span} is not what its inputs give; memory or disk is faulty")
