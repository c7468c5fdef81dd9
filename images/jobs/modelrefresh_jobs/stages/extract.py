"""Stage `extract`: cut the instruction residual of a base and its instruct model.

One pass reads both, fingerprints both and writes `residuals/<digest>/`: the residual's shards,
what the instruct model gives beside weights and a description that says from which base it was cut.
"""

import hashlib
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import threadpoolctl

from modelrefresh.contract import codec
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.extract import ExtractInput, ExtractSummary
from modelrefresh_jobs.models import instruct_assets, model_card, model_folder, prompts
from modelrefresh_jobs.models.model_folder import Model
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import model_files, sealed, sources
from modelrefresh_jobs.storage.run_folders import RunFolders
from modelrefresh_jobs.tensors import dtypes, safetensors_reader, safetensors_writer
from modelrefresh_jobs.tensors.dtypes import Scratch, Values
from modelrefresh_jobs.tensors.safetensors_reader import Reader
from modelrefresh_jobs.tensors.safetensors_writer import Planned
from modelrefresh_jobs.weights import (
    compatibility,
    difference,
    lineage,
    residual_math,
    residuals_package,
    stored_residual,
)
from modelrefresh_jobs.weights.exceptions import Collector
from modelrefresh_jobs.weights.residual_math import Forms, Norms
from modelrefresh_jobs.weights.stored_residual import Description, Encoding, Formats

_METADATA = {"format": "pt", "content": "modelrefresh.residual"}
_STEM = stored_residual.STEMS[Encoding.DIFFERENCE]


@dataclass(slots=True, kw_only=True)
class _Pass:
    """State of the one pass over both models."""

    base: Model
    instruct: Model
    forms: Mapping[str, Forms]
    reader: Reader
    collector: Collector
    progress: Progress
    scratch: Scratch = field(default_factory=Scratch)
    norms: Norms = field(default_factory=Norms)
    cosines: list[float] = field(default_factory=list)
    """Between base and instruct, of each matrix: norms are about 1 in every model and would tell nothing."""
    alike: bool = True
    """Every weight so far is the other model's, rounded at most."""
    base_hashes: dict[str, str] = field(default_factory=dict)
    instruct_hashes: dict[str, str] = field(default_factory=dict)


def run(wanted: ExtractInput, folders: RunFolders, progress: Progress) -> ExtractSummary:
    """Store the residual of the pair on the workspace."""
    base, instruct = (model_folder.accept(sources.resolve(uri, folders)) for uri in (wanted.base, wanted.instruct))
    with sealed.draft(
        folders.residuals,
        kind=stored_residual.KIND,
        label=folders.label,
        attempt=folders.attempt,
        parents={"base": wanted.base, "instruct": wanted.instruct},
    ) as made:
        return store(base, instruct, made, progress=progress, target=folders.out)


def artifact(folders: RunFolders, summary: ExtractSummary) -> pathlib.Path:
    """The stored residual."""
    return folders.out or folders.workspace.residual(summary.digest)


def store(
    base: Model, instruct: Model, made: sealed.Draft, *, progress: Progress, target: pathlib.Path | None = None
) -> ExtractSummary:
    """Write and seal the residual of an accepted pair, as `target` or under its digest."""
    for model in (base, instruct):  # or its tokenizer would be blamed, which is loaded by the same file
        prompts.effective(model.folder, model.config)
    compatibility.check_pair(base, instruct)
    lineage.check_roles(base, instruct, progress)
    instruct_assets.check(instruct.folder)
    instruct_assets.copy(instruct.folder, made.path / instruct_assets.FOLDER)
    instruct_assets.write_configuration(made.path / instruct_assets.FOLDER, instruct.config)
    instruct_assets.copy(instruct.folder, made.path)
    padded = base.with_rows(instruct.rows)
    forms = {name: Forms(start=one.form, other=instruct.tensors[name].form) for name, one in base.tensors.items()}
    planned = [
        Planned(name=name, dtype=one.stored.name, shape=padded.tensors[name].shape) for name, one in forms.items()
    ]
    layout = safetensors_writer.plan(planned, stem=_STEM)
    with (
        Reader() as reader,
        Collector(made.path) as collector,
        threadpoolctl.threadpool_limits(1, user_api="blas"),
    ):
        work = _Pass(base=padded, instruct=instruct, forms=forms, reader=reader, collector=collector, progress=progress)
        for shard in layout:
            made.known[shard.file] = _write_shard(work, shard, made.path)
        made.known |= collector.write(made.path, metadata=_METADATA)
        safetensors_writer.write_index(made.path, layout, stem=_STEM)
        _verify(work, made.path)
    lineage.check_residual(work.norms, base, instruct, alike=work.alike)
    lineage.check_kinship(work.cosines, base, instruct, progress)
    description = _describe(work, base)
    (made.path / stored_residual.DESCRIPTION).write_text(
        json.dumps(codec.to_document(description), indent=1, sort_keys=True) + "\n"
    )
    _write_card(work, planned, description, made)
    return ExtractSummary(
        digest=sealed.seal(made, target=target).digest,
        base_fingerprint=description.base_fingerprint,
        instruct_fingerprint=description.instruct_fingerprint,
        architecture=description.architecture,
        parameters=base.parameters,
        bytes=safetensors_writer.total(layout) + work.collector.bytes,
        relative_norm=work.norms.relative_residual,
    )


def _describe(work: _Pass, base: Model) -> Description:
    hashes = work.base_hashes | {
        name: model_folder.content(one) for name, one in base.tensors.items() if one is not work.base.tensors[name]
    }
    return Description(
        architecture=base.architecture,
        base_fingerprint=model_folder.combine(hashes, base),
        instruct_fingerprint=model_folder.combine(work.instruct_hashes, work.instruct),
        encoding=Encoding.DIFFERENCE,
        base_rows=base.rows if base.rows != work.instruct.rows else None,
        mixed=_mixed(work.forms),
    )


def _write_card(work: _Pass, planned: Sequence[Planned], description: Description, made: sealed.Draft) -> None:
    """What people and other programs read of the residual."""
    facts = {
        "architecture": description.architecture,
        "weights": work.base.parameters,
        "formats": ", ".join(sorted({one.dtype for one in planned})),
        **({"rows of the base's embedding": description.base_rows} if description.base_rows else {}),
        "exceptions": work.collector.count,
        "relative norm": f"{work.norms.relative_residual:.6g}",
        "fingerprint of the base": description.base_fingerprint,
        "fingerprint of the instruct model": description.instruct_fingerprint,
    }
    names = {role: model_card.hub_name(uri) for role, uri in made.parents.items()}
    licences = {
        "base": model_card.licence_of(work.base.folder),
        "instruct": model_card.licence_of(work.instruct.folder),
    }
    (made.path / model_files.CARD).write_text(model_card.of_residual(names, licences, facts))
    config = residuals_package.config(planned, names=names, licence=model_card.common(licences.values()))
    (made.path / "config.json").write_text(json.dumps(config, indent=1) + "\n")


def _write_shard(work: _Pass, shard: safetensors_writer.Shard, folder: pathlib.Path) -> str:
    with safetensors_writer.Writer(folder, shard, metadata=_METADATA) as writer:
        for planned in shard.tensors:
            _write_tensor(work, planned.name, writer)
            work.progress.report(len(work.base_hashes), len(work.base.tensors), unit="tensors")
        return writer.finish()


def _write_tensor(work: _Pass, name: str, writer: safetensors_writer.Writer) -> None:
    ours, theirs, forms = work.base.tensors[name], work.instruct.tensors[name], work.forms[name]
    hashes, norms, product = (hashlib.sha256(), hashlib.sha256()), Norms(), 0.0
    for span in safetensors_reader.slices(ours):
        raw = work.reader.raw(ours, *span), work.reader.raw(theirs, *span)
        for digest, data in zip(hashes, raw, strict=True):
            digest.update(data)
        base, instruct = (np.frombuffer(data, dtype=one.pattern) for data, one in zip(raw, (ours, theirs), strict=True))
        before = dtypes.widen(base, forms.start, work.scratch, "before")
        apart = dtypes.widen(instruct, forms.other, work.scratch, "apart")
        work.alike = work.alike and _alike(before, apart, forms)
        apart -= before
        norms.measure(before, apart)
        product += float(before.dot(apart))
        written, places, weights = difference.encode(base, instruct, forms, work.scratch)
        writer.write(written)
        work.collector.add(ours, span[0], places, weights, forms.other)
    if not norms.finite:
        message = f"{name}: infinite or not a number in {work.base.folder} or {work.instruct.folder}"
        raise StageError(StageReason.MODEL_UNREADABLE, f"{message}; the checkpoint is damaged, fetch it again")
    work.norms = residual_math.total((work.norms, norms))
    if len(ours.shape) > 1 and (square := norms.start * (norms.start + 2 * product + norms.residual)) > 0:
        work.cosines.append((norms.start + product) / math.sqrt(square))
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
    written = stored_residual.open_shards(folder, Encoding.DIFFERENCE)
    for name, stored in written.tensors.items():
        restore = written.restore(name, work.forms[name], work.reader, work.scratch)
        for span in safetensors_reader.ends(stored):
            base, instruct = (work.reader.bits(model.tensors[name], *span) for model in (work.base, work.instruct))
            if not np.array_equal(restore(*span, base), instruct):
                raise ValueError(f"{folder}: {name} {span} does not give the instruct model back; suspect the disk")
