"""Stage `extract`: cut the instruction residual of a base and its instruct model.

One pass reads both, fingerprints both and writes `residuals/<digest>/`: the residual's shards,
the instruct model's donor files and a card that says from which base it was cut.
"""

import hashlib
import json
import math
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import threadpoolctl

from modelrefresh.contract import artifacts, codec, result, stage_request
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.models import instruct_assets, model_folder, prompts
from modelrefresh_jobs.models.model_folder import Model
from modelrefresh_jobs.process.errors import StageError, shown
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import sealed, sources
from modelrefresh_jobs.tensors import dtypes, safetensors_reader, safetensors_writer
from modelrefresh_jobs.tensors.dtypes import Format, Scratch, Values
from modelrefresh_jobs.tensors.safetensors_reader import Reader, Tensor
from modelrefresh_jobs.tensors.safetensors_writer import Planned
from modelrefresh_jobs.weights import compatibility, lineage, residual_math
from modelrefresh_jobs.weights.residual_math import Forms, Gauges

KIND = "residual"
STEM = "residual"
CARD = "residual.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """Formats of one tensor, as safetensors spells them."""

    base: str
    instruct: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a stored residual says of itself."""

    architecture: str
    base_fingerprint: str
    instruct_fingerprint: str
    encoding: str = "xor"
    """How the shards hold it, see `residual`."""
    mixed: Mapping[str, Formats] | None = None
    """Tensors whose formats differ; for all others the base's format is the instruct model's."""

    def formats(self, start: Model, *, direct: bool) -> dict[str, Format]:
        """Formats of the model to which the residual leads from the start: the instruct model, with Direct the base."""
        others = {name: one.base if direct else one.instruct for name, one in (self.mixed or {}).items()}
        return {name: dtypes.FORMATS[others.get(name, tensor.dtype)] for name, tensor in start.tensors.items()}


@dataclass(slots=True, kw_only=True)
class _Pass:
    """State of the one pass over both models."""

    base: Model
    instruct: Model
    forms: Mapping[str, Forms]
    reader: Reader
    progress: Progress
    scratch: Scratch = field(default_factory=Scratch)
    gauges: Gauges = field(default_factory=Gauges)
    cosines: list[float] = field(default_factory=list)
    """Between base and instruct, of each matrix: norms are about 1 in every model and would tell nothing."""
    alike: bool = True
    """Every weight so far is the other model's, rounded at most."""
    base_hashes: dict[str, str] = field(default_factory=dict)
    instruct_hashes: dict[str, str] = field(default_factory=dict)


def run(request: stage_request.StageInput, progress: Progress) -> result.ExtractSummary:
    """Store the residual of the requested pair on the workspace."""
    assert request.extract is not None  # noqa: S101 -- env.parse guarantees it
    workspace = artifacts.Workspace(root=pathlib.Path(request.workspace))
    base = model_folder.accept(sources.resolve(request.extract.base, request))
    instruct = model_folder.accept(sources.resolve(request.extract.instruct, request))
    parents = {"base": request.extract.base, "instruct": request.extract.instruct}
    label, parent = f"{request.owner}.{request.run}", workspace.residual("any").parent
    with sealed.draft(parent, kind=KIND, label=label, attempt=request.attempt, parents=parents) as made:
        return store(base, instruct, made, progress=progress)


def artifact(request: stage_request.StageInput, summary: result.ExtractSummary) -> pathlib.Path:
    """The stored residual."""
    return artifacts.Workspace(root=pathlib.Path(request.workspace)).residual(summary.digest)


def store(
    base: Model, instruct: Model, made: sealed.Draft, *, progress: Progress, target: pathlib.Path | None = None
) -> result.ExtractSummary:
    """Write and seal the residual of an accepted pair, as `target` or under its digest."""
    for model in (base, instruct):  # or its tokenizer would be blamed, which is loaded by the same file
        prompts.effective(model.folder, model.config)
    compatibility.check_pair(base, instruct)
    lineage.check_roles(base, instruct, progress)
    instruct_assets.check(instruct.folder)
    instruct_assets.copy(instruct.folder, made.path / instruct_assets.FOLDER)
    instruct_assets.write_configuration(made.path / instruct_assets.FOLDER, instruct.config)
    forms = {name: Forms(start=one.form, other=instruct.tensors[name].form) for name, one in base.tensors.items()}
    planned = [
        Planned(name=one.name, dtype=forms[one.name].stored.bits_name, shape=one.shape) for one in base.tensors.values()
    ]
    layout = safetensors_writer.plan(planned, stem=STEM)
    with Reader() as reader, threadpoolctl.threadpool_limits(1, user_api="blas"):
        work = _Pass(base=base, instruct=instruct, forms=forms, reader=reader, progress=progress)
        for shard in layout:
            made.known[shard.file] = _write_shard(work, shard, made.path)
        safetensors_writer.write_index(made.path, layout, stem=STEM)
        _verify(work, made.path)
    lineage.check_residual(work.gauges, base, instruct, alike=work.alike)
    lineage.check_kinship(work.cosines, base, instruct, progress)
    card = Card(
        architecture=base.architecture,
        base_fingerprint=model_folder.combine(work.base_hashes, base),
        instruct_fingerprint=model_folder.combine(work.instruct_hashes, instruct),
        mixed=_mixed(forms),
    )
    (made.path / CARD).write_text(json.dumps(codec.to_document(card), indent=1, sort_keys=True) + "\n")
    return result.ExtractSummary(
        digest=sealed.seal(made, target=target).digest,
        base_fingerprint=card.base_fingerprint,
        instruct_fingerprint=card.instruct_fingerprint,
        architecture=card.architecture,
        parameters=base.parameters,
        bytes=safetensors_writer.total(layout),
        relative_norm=work.gauges.relative_residual,
    )


def read_card(folder: pathlib.Path) -> Card:
    """The card of a stored residual.

    Raises:
        StageError: not a sealed residual, or of an encoding that this version does not know.
    """
    try:
        sealed.verify(folder, deep=False)
        card = codec.from_document(Card, json.loads((folder / CARD).read_text()))
    except (sealed.BrokenSealError, OSError, ValueError, RecursionError) as error:
        message = f"{folder}: not a whole residual: {error}; extract it again"
        raise StageError(StageReason.RESIDUAL_INCOMPATIBLE, message) from error
    if card.encoding != "xor":
        message = f"{folder}: encoding {shown(card.encoding)}; this version reads 'xor': extract it again"
        raise StageError(StageReason.RESIDUAL_INCOMPATIBLE, message)
    named = {name for one in (card.mixed or {}).values() for name in (one.base, one.instruct)}
    if odd := sorted(named - set(dtypes.FORMATS)):
        message = f"{folder}: number formats {odd}; this version reads {sorted(dtypes.FORMATS)}: extract it again"
        raise StageError(StageReason.RESIDUAL_INCOMPATIBLE, message)
    return card


def open_shards(folder: pathlib.Path) -> Mapping[str, Tensor]:
    """The stored residual's tensors."""
    return safetensors_reader.open_folder(folder, stem=STEM)


def _write_shard(work: _Pass, shard: safetensors_writer.Shard, folder: pathlib.Path) -> str:
    with safetensors_writer.Writer(
        folder, shard, metadata={"format": "modelrefresh.residual", "encoding": "xor"}
    ) as writer:
        for planned in shard.tensors:
            _write_tensor(work, planned.name, writer)
            work.progress.report(len(work.base_hashes), len(work.base.tensors), unit="tensors")
        return writer.finish()


def _write_tensor(work: _Pass, name: str, writer: safetensors_writer.Writer) -> None:
    ours, theirs, forms = work.base.tensors[name], work.instruct.tensors[name], work.forms[name]
    hashes, gauges, product = (hashlib.sha256(), hashlib.sha256()), Gauges(), 0.0
    for span in safetensors_reader.slices(ours):
        raw = work.reader.raw(ours, *span), work.reader.raw(theirs, *span)
        for digest, data in zip(hashes, raw, strict=True):
            digest.update(data)
        base, instruct = (np.frombuffer(data, dtype=one.pattern) for data, one in zip(raw, (ours, theirs), strict=True))
        before = dtypes.widen(base, forms.start, work.scratch, "before")
        difference = dtypes.widen(instruct, forms.other, work.scratch, "difference")
        work.alike = work.alike and _alike(before, difference, forms)
        difference -= before
        gauges.measure(before, difference)
        product += float(before.dot(difference))
        writer.write(residual_math.cut(base, instruct, forms, work.scratch))
    if not gauges.finite:
        message = f"{name}: infinite or not a number in {work.base.folder} or {work.instruct.folder}"
        raise StageError(StageReason.MODEL_UNREADABLE, f"{message}; the checkpoint is damaged, fetch it again")
    work.gauges = residual_math.total((work.gauges, gauges))
    if len(ours.shape) > 1 and (norms := gauges.start * (gauges.start + 2 * product + gauges.residual)) > 0:
        work.cosines.append((gauges.start + product) / math.sqrt(norms))
    work.base_hashes[name], work.instruct_hashes[name] = (digest.hexdigest() for digest in hashes)


def _alike(base: Values, instruct: Values, forms: Forms) -> bool:
    return any(
        np.array_equal(dtypes.narrow(base, form), dtypes.narrow(instruct, form)) for form in (forms.start, forms.other)
    )


def _mixed(forms: Mapping[str, Forms]) -> dict[str, Formats] | None:
    return {
        name: Formats(base=one.start.name, instruct=one.other.name)
        for name, one in forms.items()
        if one.start is not one.other
    } or None


def _verify(work: _Pass, folder: pathlib.Path) -> None:
    # Read back what is on disk: the first and last slice of every tensor must give the instruct model again.
    for name, stored in open_shards(folder).items():
        for span in safetensors_reader.ends(stored):
            base, instruct = (work.reader.bits(model.tensors[name], *span) for model in (work.base, work.instruct))
            found = residual_math.restore(base, work.reader.bits(stored, *span), work.forms[name], work.scratch)
            if not np.array_equal(found, instruct):
                raise ValueError(f"{folder}: {name} {span} does not give the instruct model back; the disk lies")
