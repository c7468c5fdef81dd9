"""One pass over a base and its instruct model: the residual's shards and exceptions out, and what was seen on the way.

A thread computes blocks of a tensor, this one hashes and writes what it gives, in order. A span `(first, last)` is
`[first, last)` in weights of one tensor. Memory does not depend on the models' size. Knows no URIs and no tokenizer.
"""

import functools
import hashlib
import math
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import threadpoolctl

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.models.model_folder import Model
from modelrefresh_jobs.process import parallel
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import sealed
from modelrefresh_jobs.tensors import dtypes, safetensors_reader, safetensors_writer
from modelrefresh_jobs.tensors.dtypes import Bits, Scratch, Values
from modelrefresh_jobs.tensors.safetensors_reader import Reader
from modelrefresh_jobs.tensors.safetensors_writer import Planned, Shard
from modelrefresh_jobs.weights import difference, stored_residual
from modelrefresh_jobs.weights.difference import Places
from modelrefresh_jobs.weights.exceptions import Collector
from modelrefresh_jobs.weights.residual_math import Forms, Norms
from modelrefresh_jobs.weights.stored_residual import Encoding

_METADATA = {"format": "pt", "content": "modelrefresh.residual"}
_STEM = stored_residual.STEMS[Encoding.DIFFERENCE]


@dataclass(slots=True, kw_only=True)
class Cut:
    """What the pass has seen of a pair."""

    base: Model
    instruct: Model
    norms: Norms = field(default_factory=Norms)
    cosines: list[float] = field(default_factory=list)
    """Between base and instruct, of each matrix: norms are about 1 in every model and would tell nothing."""
    alike: bool = True
    """Every weight so far is the other model's, rounded at most."""
    base_hashes: dict[str, str] = field(default_factory=dict)
    instruct_hashes: dict[str, str] = field(default_factory=dict)
    exceptions: int = 0
    exception_bytes: int = 0

    def forms(self, name: str) -> Forms:
        """Number formats of one tensor."""
        return Forms(start=self.base.tensors[name].form, other=self.instruct.tensors[name].form)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pass:
    """What the pass works with."""

    cut: Cut
    reader: Reader
    collector: Collector
    progress: Progress
    workers: parallel.Workers
    scratch: Scratch = field(default_factory=Scratch)


@dataclass(slots=True, kw_only=True)
class _Block:
    """Some slices of one tensor, computed; arrays `[weights]`."""

    raw: tuple[bytes, bytes]
    """Of base and instruct model."""
    written: Bits
    """The difference as it is stored."""
    exceptions: list[tuple[int, Places, Bits]] = field(default_factory=list)
    """Of each slice: its first weight in the tensor, positions in it, weights."""
    norms: Norms = field(default_factory=Norms)
    product: float = 0.0
    """Dot product of base and difference."""
    alike: bool = True


def write(
    base: Model, instruct: Model, planned: Sequence[Planned], made: sealed.Draft, *, progress: Progress
) -> tuple[Cut, tuple[Shard, ...]]:
    """Write the residual into the draft, then read samples back and compare.

    Raises:
        StageError: ModelUnreadable, when a weight is not finite.
        ValueError: when base and what was read back do not give the instruct model.
    """
    cut, layout = Cut(base=base, instruct=instruct), safetensors_writer.plan(planned, stem=_STEM)
    with (
        Reader() as reader,
        Collector(made.path) as collector,
        threadpoolctl.threadpool_limits(1, user_api="blas"),
        parallel.Workers(1) as workers,
    ):
        work = _Pass(cut=cut, reader=reader, collector=collector, progress=progress, workers=workers)
        for shard in layout:
            made.known[shard.file] = _write_shard(work, shard, made.path)
        made.known |= collector.write(made.path, metadata=_METADATA)
        cut.exceptions, cut.exception_bytes = collector.count, collector.bytes
        safetensors_writer.write_index(made.path, layout, stem=_STEM)
        _verify(work, made.path)
    return cut, layout


def _write_shard(work: _Pass, shard: safetensors_writer.Shard, folder: pathlib.Path) -> str:
    with safetensors_writer.Writer(folder, shard, metadata=_METADATA) as writer:
        for planned in shard.tensors:
            _write_tensor(work, planned.name, writer)
            work.progress.report(len(work.cut.base_hashes), len(work.cut.base.tensors), unit="tensors")
        return writer.finish()


def _write_tensor(work: _Pass, name: str, writer: safetensors_writer.Writer) -> None:
    ours, forms = work.cut.base.tensors[name], work.cut.forms(name)
    hashes, norms, product = (hashlib.sha256(), hashlib.sha256()), Norms(), 0.0
    for block in work.workers.in_order(functools.partial(_block, work, name), safetensors_reader.blocks(ours)):
        for digest, data in zip(hashes, block.raw, strict=True):
            digest.update(data)
        norms.add(block.norms)
        product += block.product
        work.cut.alike = work.cut.alike and block.alike
        writer.write(block.written)
        for first, places, weights in block.exceptions:
            work.collector.add(ours, first, places, weights, forms.other)
    if not norms.finite:
        message = f"{name}: infinite or not a number in {work.cut.base.folder} or {work.cut.instruct.folder}"
        raise StageError(StageReason.MODEL_UNREADABLE, f"{message}; the checkpoint is damaged, fetch it again")
    work.cut.norms.add(norms)
    if len(ours.shape) > 1 and (square := norms.start * (norms.start + 2 * product + norms.residual)) > 0:
        work.cut.cosines.append((norms.start + product) / math.sqrt(square))
    work.cut.base_hashes[name], work.cut.instruct_hashes[name] = (digest.hexdigest() for digest in hashes)


def _block(work: _Pass, name: str, span: tuple[int, int]) -> _Block:
    ours, theirs = work.cut.base.tensors[name], work.cut.instruct.tensors[name]
    forms, begin = work.cut.forms(name), span[0]
    raw = work.reader.raw(ours, *span), work.reader.raw(theirs, *span)
    models = [np.frombuffer(data, dtype=one.pattern) for data, one in zip(raw, (ours, theirs), strict=True)]
    block = _Block(raw=raw, written=np.empty(span[1] - begin, forms.stored.bits))
    for first, last in safetensors_reader.slices(ours, span):
        place = slice(first - begin, last - begin)
        base, instruct = (one[place] for one in models)
        before = dtypes.widen(base, forms.start, work.scratch, "before")
        apart = dtypes.widen(instruct, forms.other, work.scratch, "apart")
        block.alike = block.alike and work.cut.alike and _alike(before, apart, forms)
        apart -= before
        block.norms.measure(before, apart)
        block.product += float(before.dot(apart))
        block.written[place], places, weights = difference.encode(base, instruct, (before, apart), forms, work.scratch)
        block.exceptions.append((first, places, weights))
    return block


def _alike(base: Values, instruct: Values, forms: Forms) -> bool:
    return any(
        np.array_equal(dtypes.narrow(base, form), dtypes.narrow(instruct, form)) for form in (forms.start, forms.other)
    )


def _verify(work: _Pass, folder: pathlib.Path) -> None:
    # Read back what is on disk: the first and last slice of every tensor must give the instruct model again.
    written = stored_residual.open_shards(folder, Encoding.DIFFERENCE)
    for name, stored in written.tensors.items():
        restore = written.restore(name, work.cut.forms(name), work.reader, work.scratch)
        for span in safetensors_reader.ends(stored):
            base, instruct = (
                work.reader.bits(model.tensors[name], *span) for model in (work.cut.base, work.cut.instruct)
            )
            if not np.array_equal(restore(*span, base), instruct):
                raise ValueError(f"{folder}: {name} {span} does not give the instruct model back; suspect the disk")
