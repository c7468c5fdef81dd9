"""Stage `merge`: add the residual to the trained weights and seal the candidate.

Finds the parts (start, trained checkpoint or adapter, residual), refuses any that do not belong
together, and writes `versions/<digest>/`. With strategy Direct the trained instruct model is
itself the candidate. The pass over the weights is `weights/merge_pass.py`.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelrefresh.contract import artifacts, codec
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.merge import MergeInput, MergeSummary
from modelrefresh.contract.vocabulary import Strategy
from modelrefresh_jobs.models import instruct_assets, model_config, model_folder
from modelrefresh_jobs.models.model_folder import Model
from modelrefresh_jobs.process import release
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import sealed, sources
from modelrefresh_jobs.storage.run_folders import RunFolders
from modelrefresh_jobs.tensors import dtypes, safetensors_writer
from modelrefresh_jobs.tensors.safetensors_writer import Shard
from modelrefresh_jobs.weights import compatibility, lineage, merge_pass, stored_residual, trained_weights
from modelrefresh_jobs.weights.merge_pass import MergeInputs

KIND = "version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Lineage of a version, beside its weights."""

    start: str
    start_fingerprint: str
    trained: str
    """Digest of the trained folder, or its path where it was not sealed."""
    residual: str
    """Digest of the residual, which also gave tokenizer and stop tokens."""
    instruct_fingerprint: str
    strategy: str
    scale: float | None
    """None with Direct, which adds nothing."""
    formats: str
    """Formats of start and trained weights, of the sums, and of what was written."""
    tool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeSources:
    """What goes into one merge, as folders."""

    start: pathlib.Path
    trained: pathlib.Path
    residual: pathlib.Path
    strategy: Strategy = Strategy.RESIDUAL
    scale: float = 1.0


def run(wanted: MergeInput, folders: RunFolders, progress: Progress) -> MergeSummary:
    """Merge what this run has trained."""
    residual = sources.stored(
        wanted.residual, folders, below=folders.workspace.residual, reason=StageReason.RESIDUAL_INCOMPATIBLE
    )
    merge_sources = MergeSources(
        start=sources.resolve(wanted.start, folders),
        trained=folders.trained,
        residual=residual,
        strategy=wanted.strategy,
        scale=wanted.scale,
    )
    parents = {"start": wanted.start, "residual": wanted.residual, "trained": _trained(folders)}
    with sealed.draft(
        folders.versions, kind=KIND, label=f"{folders.label}.merge", attempt=folders.attempt, parents=parents
    ) as made:
        return store(merge_sources, made, progress=progress, target=folders.out)


def artifact(folders: RunFolders, summary: MergeSummary) -> pathlib.Path:
    """The candidate."""
    return folders.out or folders.workspace.version(summary.digest)


def _trained(folders: RunFolders) -> str:
    """Digest of what this run has trained, every byte proven; the path of what a person names, if it is not sealed."""
    if folders.unsealed and not (folders.unsealed / artifacts.MANIFEST).exists():
        return str(folders.unsealed)
    try:
        return sealed.verify(folders.trained, deep=True).digest
    except sealed.BrokenSealError as error:
        raise StageError(
            StageReason.MODEL_UNREADABLE, f"trained weights: {error}; run the train stage again"
        ) from error


def store(
    merge_sources: MergeSources, made: sealed.Draft, *, progress: Progress, target: pathlib.Path | None = None
) -> MergeSummary:
    """Write and seal the candidate, as `target` or under its digest."""
    start = model_folder.accept(merge_sources.start)
    description = stored_residual.read_description(merge_sources.residual)
    direct = merge_sources.strategy is Strategy.DIRECT
    known = _check_start(merge_sources, description)
    compatibility.check_served(
        start, instruct_assets.read_configuration(merge_sources.residual), merge_sources.residual
    )
    other = description.base_fingerprint if direct else description.instruct_fingerprint
    proven = lineage.check_start(merge_sources.trained, expected=known, other=other, direct=direct)
    parts = MergeInputs(
        start=start,
        trained=trained_weights.accept(merge_sources.trained, start),
        residual=stored_residual.open_shards(merge_sources.residual, description.encoding),
        scale=None if direct else merge_sources.scale,
        other=other,
        formats=description.formats(start, direct=direct),
    )
    merge_pass.check(parts, merge_sources.residual)
    norms, layout = merge_pass.write(parts, made, progress=progress)
    lineage.check_drift(norms, merge_sources.trained, scale=parts.scale, proven=proven, progress=progress)
    _write_assets(merge_sources, start, layout, made.path)
    provenance = Provenance(
        start=made.parents.get("start", str(merge_sources.start)),
        start_fingerprint=known,
        trained=made.parents.get("trained", str(merge_sources.trained)),
        residual=sealed.read(merge_sources.residual).digest,
        instruct_fingerprint=description.instruct_fingerprint,
        strategy=merge_sources.strategy.value,
        scale=parts.scale,
        formats=f"{'+'.join(start.formats)} and {'+'.join(parts.trained.formats)}, F64, {'+'.join(_weights(layout))}",
        tool=f"modelrefresh {release.version()}",
    )
    text = json.dumps(codec.to_document(provenance), indent=1, sort_keys=True)
    (made.path / artifacts.PROVENANCE).write_text(text + "\n")
    return MergeSummary(
        digest=sealed.seal(made, target=target).digest,
        parameters=start.parameters,
        bytes=safetensors_writer.total(layout),
        drift=norms.relative_drift,
        residual_norm=norms.relative_residual,
        # A residual leads from base to instruct; with Direct instruct is the start.
        alignment=-norms.alignment if direct else norms.alignment,
    )


def _check_start(merge_sources: MergeSources, description: stored_residual.Description) -> str:
    known = model_folder.fingerprint(merge_sources.start)
    direct = merge_sources.strategy is Strategy.DIRECT
    expected = description.instruct_fingerprint if direct else description.base_fingerprint
    if known != expected:
        role = "instruct model" if direct else "base"
        raise StageError(
            StageReason.BASE_MISMATCH,
            f"{merge_sources.start} has fingerprint {known}, but residual {merge_sources.residual.name} was cut from "
            f"{role} {expected}; compare spec.base.uri of the refresh with base and instruct of the residual",
        )
    return known


def _write_assets(merge_sources: MergeSources, start: Model, layout: Sequence[Shard], target: pathlib.Path) -> None:
    instruct_assets.copy(merge_sources.residual / instruct_assets.FOLDER, target)
    instruct_assets.copy_licences(start.folder, target)
    instruct = instruct_assets.read_configuration(merge_sources.residual)
    instruct_assets.write_configuration(target, model_config.served(instruct, dtype=_dtype(instruct, layout)))


def _dtype(instruct: Mapping[str, object], layout: Sequence[Shard]) -> str:
    # What loaders compute in is the instruct model's word; where it gives none, the format of most weights.
    said = str(instruct.get("dtype") or instruct.get("torch_dtype"))
    if said in {form.torch_name for form in dtypes.FORMATS.values()}:
        return said
    weights = _weights(layout)
    return dtypes.FORMATS[max(weights, key=weights.__getitem__)].torch_name


def _weights(layout: Sequence[Shard]) -> dict[str, int]:
    """Number of weights by format."""
    written = [tensor for shard in layout for tensor in shard.tensors]
    return {
        dtype: sum(one.size // one.width for one in written if one.dtype == dtype)
        for dtype in sorted({one.dtype for one in written})
    }
