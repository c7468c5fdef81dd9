"""The candidate: a merge checked, written and sealed with its lineage. The pass over the weights is `merge_pass`."""

import json
import logging
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from modelrefresh.contract import artifacts, codec
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.merge import AddedResidual, MergeSummary, TensorScale
from modelrefresh.contract.vocabulary import Strategy, Transfer
from modelrefresh_jobs.models import instruct_assets, model_config, model_folder
from modelrefresh_jobs.models.model_folder import Model
from modelrefresh_jobs.process import release
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import sealed
from modelrefresh_jobs.tensors import dtypes, safetensors_writer
from modelrefresh_jobs.tensors.safetensors_writer import Shard
from modelrefresh_jobs.weights import compatibility, lineage, merge_inputs, merge_pass, stored_residual, trained_weights
from modelrefresh_jobs.weights.merge_inputs import MergeInputs
from modelrefresh_jobs.weights.merge_sources import AddedSource, MergeSources

LOG = logging.getLogger("modelrefresh.jobs")
KIND = "version"
_TRANSFER = ", or add it to another base of its family: residualRef.transfer: SameFamily, by hand --transfer SameFamily"


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
    scales: tuple[TensorScale, ...] = ()
    transferred: bool | None = None
    """The residual was cut from another base."""
    added: tuple[AddedResidual, ...] = ()
    previous: str | None = None
    """Digest of the version that the sum was averaged with, or its path where it was not sealed."""
    previous_share: float | None = None
    formats: str
    """Formats of start and trained weights, of the sums, and of what was written."""
    tool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Sources that belong together, every byte proven that the pass does not prove."""

    given: MergeSources
    parts: MergeInputs
    known: str
    """Fingerprint of the start."""
    proven: bool
    """Whether the trained weights are known to come from the start."""

    def scaled(self, scale: float) -> "Checked":
        """The same with another factor of the residual; not with Direct."""
        return replace(self, given=replace(self.given, scale=scale), parts=replace(self.parts, scale=scale))


def store(
    given: MergeSources, made: sealed.Draft, *, progress: Progress, target: pathlib.Path | None = None
) -> MergeSummary:
    """Check the sources, then write and seal the candidate, as `target` or under its digest."""
    return write(check(given, progress), made, progress=progress, target=target)


def check(given: MergeSources, progress: Progress) -> Checked:
    """Open the sources and prove that they belong together.

    Raises:
        StageError: BaseMismatch, ResidualIncompatible, ModelUnreadable or InvalidSpec.
    """
    start = model_folder.accept(given.start)
    description = stored_residual.read_description(given.residual)
    known = _check_start(given, description)
    given = _at_home(given, start, known=known, base=description.base_fingerprint)
    direct = given.strategy is Strategy.DIRECT
    other = description.base_fingerprint if direct else description.instruct_fingerprint
    proven = lineage.check_start(given.trained, expected=known, other=other, direct=direct)
    trained = trained_weights.accept(given.trained, start)
    parts = merge_inputs.gather(given, start, trained, description, progress)
    merge_inputs.prove(parts)
    return Checked(given=given, parts=parts, known=known, proven=proven)


def write(
    checked: Checked, made: sealed.Draft, *, progress: Progress, target: pathlib.Path | None = None
) -> MergeSummary:
    """Write and seal the candidate, as `target` or under its digest."""
    given, parts, direct = checked.given, checked.parts, checked.given.strategy is Strategy.DIRECT
    norms, layout = merge_pass.write(parts, made, progress=progress)
    if not given.untrained:
        lineage.check_drift(norms, given.trained, scale=parts.scale, proven=checked.proven, progress=progress)
    _write_assets(given, parts, layout, made.path)
    provenance = _provenance(given, parts, made, known=checked.known, layout=layout)
    text = json.dumps(codec.to_document(provenance), indent=1, sort_keys=True)
    (made.path / artifacts.PROVENANCE).write_text(text + "\n")
    return MergeSummary(
        digest=sealed.seal(made, target=target).digest,
        parameters=parts.start.parameters,
        bytes=safetensors_writer.total(layout),
        drift=norms.relative_drift,
        residual_norm=norms.relative_residual,
        # A residual leads from base to instruct; with Direct instruct is the start.
        alignment=-norms.alignment if direct else norms.alignment,
    )


def _check_start(given: MergeSources, description: stored_residual.Description) -> str:
    """Fingerprint of the start, which the residual must have been cut from unless it is transferred."""
    known = model_folder.fingerprint(given.start)
    direct = given.strategy is Strategy.DIRECT
    expected = description.instruct_fingerprint if direct else description.base_fingerprint
    if known != expected and not given.transferred:
        role = "instruct model" if direct else "base"
        raise StageError(
            StageReason.BASE_MISMATCH,
            f"{given.start} has fingerprint {known}, but residual {given.residual.name} was cut from "
            f"{role} {expected}; compare spec.base.uri of the refresh (by hand --base) with base and instruct of the "
            f"residual{'' if direct else _TRANSFER}",
        )
    merge_inputs.check_added(given, (known, description.instruct_fingerprint))
    return known


def _at_home(given: MergeSources, start: Model, *, known: str, base: str) -> MergeSources:
    """The same without the transfer, if the start is the residual's own base, configuration included: that is exact."""
    if not given.transferred or known != base:
        return given
    if compatibility.served_differences(start, instruct_assets.read_configuration(given.residual)):
        return given
    seen = "residual %s was cut from this very base: it is added as without a transfer, exactly"
    LOG.info(seen, given.residual.name)
    return replace(given, transferred=False)


def _provenance(
    given: MergeSources, parts: MergeInputs, made: sealed.Draft, *, known: str, layout: Sequence[Shard]
) -> Provenance:
    read = f"{'+'.join(parts.start.formats)} and {'+'.join(parts.trained.formats)}"
    previous = given.previous
    return Provenance(
        start=made.parents.get("start", str(given.start)),
        start_fingerprint=known,
        trained=made.parents.get("trained", str(given.trained)),
        residual=sealed.read(given.residual).digest,
        instruct_fingerprint=stored_residual.read_description(given.residual).instruct_fingerprint,
        strategy=given.strategy.value,
        scale=parts.scale,
        scales=given.scales,
        transferred=given.transferred or None,
        added=tuple(_added(one) for one in given.added),
        previous=made.parents.get("previous", str(previous.version)) if previous else None,
        previous_share=previous.share if previous else None,
        formats=f"{read}, F64, {'+'.join(_weights(layout))}",
        tool=f"modelrefresh {release.version()}",
    )


def _added(one: AddedSource) -> AddedResidual:
    transfer = Transfer.SAME_FAMILY if one.transferred else None
    return AddedResidual(residual=sealed.read(one.residual).digest, scale=one.scale, transfer=transfer)


def _write_assets(given: MergeSources, parts: MergeInputs, layout: Sequence[Shard], target: pathlib.Path) -> None:
    instruct_assets.copy(given.residual / instruct_assets.FOLDER, target)
    instruct_assets.copy_licences(parts.start.folder, target)
    served = model_config.served(parts.config, dtype=_dtype({} if given.transferred else parts.config, layout))
    instruct_assets.write_configuration(target, served)


def _dtype(instruct: Mapping[str, object], layout: Sequence[Shard]) -> str:
    # What loaders compute in is the instruct model's word; where it gives none, or is another release's, the format
    # of most weights.
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
