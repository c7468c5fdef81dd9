"""What one merge combines: the weights behind its sources, which must belong together.

A residual that was cut from the start gives the instruct model back, which proves it; any other one, added beside it
or transferred from another base of the family, is added as the numbers that are stored. Does no arithmetic.
"""

import fnmatch
import pathlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.merge import TensorScale
from modelrefresh.contract.vocabulary import Strategy
from modelrefresh_jobs.models import instruct_assets, model_folder
from modelrefresh_jobs.models.model_folder import Model
from modelrefresh_jobs.process.errors import StageError, few
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.tensors.dtypes import FORMATS, Format
from modelrefresh_jobs.tensors.safetensors_reader import Tensor
from modelrefresh_jobs.weights import compatibility, stored_residual
from modelrefresh_jobs.weights.merge_sources import AddedSource, MergeSources, PreviousSource
from modelrefresh_jobs.weights.residual_math import Forms
from modelrefresh_jobs.weights.stored_residual import Description, Encoding, Stored
from modelrefresh_jobs.weights.trained_weights import Trained

_SCALES = "spec.residual.scales (by hand --scales)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """The weights of an added residual."""

    stored: Stored
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """The weights of the version that the sum is averaged with."""

    model: Model
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeInputs:
    """What one merge combines."""

    start: Model
    trained: Trained
    residual: Stored
    scale: float | None
    """Factor of the residual; None: the trained weights are the candidate, it is only measured (Direct)."""
    scales: tuple[TensorScale, ...] = ()
    restores: bool
    """Whether start and residual give the pair's other model, which proves both."""
    other: str
    """Fingerprint of that model."""
    formats: Mapping[str, Format]
    """Number formats of that model, by tensor; with a transfer the start's, which is written."""
    added: tuple[Added, ...] = ()
    previous: Previous | None = None
    config: Mapping[str, object]
    """The config.json under which the sum is served, but for the format of its weights."""

    def forms(self, name: str) -> Forms:
        """Number formats of one tensor in start and other model."""
        return Forms(start=self.start.tensors[name].form, other=self.formats[name])

    def written(self, name: str) -> Format:
        """Number format in which a tensor is written: the instruct model's, with a transfer the start's."""
        return self.forms(name).start if self.scale is None else self.forms(name).other

    def scale_of(self, name: str) -> float | None:
        """Factor of the residual for one tensor."""
        if self.scale is None:
            return None
        own = (one.scale for one in self.scales if fnmatch.fnmatchcase(name, one.tensors))
        return next(own, self.scale)


def gather(
    sources: MergeSources, start: Model, trained: Trained, description: Description, progress: Progress
) -> MergeInputs:
    """Open all that a merge combines.

    Raises:
        StageError: ResidualIncompatible, when a part does not fit the start; the message names the differences.
        StageError: ModelUnreadable, when a part is missing or damaged.
    """
    direct = sources.strategy is Strategy.DIRECT
    config = instruct_assets.read_configuration(sources.residual)
    if sources.transferred:
        config = compatibility.check_transfer(start, config, sources.residual, progress)
        _require_numbers(description, sources.residual)
    else:
        compatibility.check_served(start, config, sources.residual)
    residual, base_rows = stored_residual.open_shards(sources.residual, description.encoding), start.rows
    if sources.transferred:
        _require_known_formats(residual)
    if not direct:
        _require_rows(start, description, residual)
        # Rows that only the instruct model has count as zero in the others; rows that it lacks are left out.
        start, trained = start.with_rows(residual.rows), trained.with_rows(residual.rows)
    parts = MergeInputs(
        start=start,
        trained=trained,
        residual=residual,
        scale=None if direct else sources.scale,
        scales=sources.scales,
        restores=not sources.transferred and not (direct and description.encoding == Encoding.DIFFERENCE),
        other=description.base_fingerprint if direct else description.instruct_fingerprint,
        formats=_formats(start) if sources.transferred else description.formats(start, direct=direct),
        added=tuple(_added(one, start, base_rows, progress) for one in sources.added),
        previous=_previous(sources.previous, start) if sources.previous else None,
        config=config,
    )
    _check_residual(parts, own=not sources.transferred)
    _check_scales(parts, progress)
    return parts


def prove(parts: MergeInputs) -> None:
    """Prove every byte of what the pass does not prove by what start and residual restore.

    Raises:
        StageError: ResidualIncompatible.
    """
    for stored in (*(() if parts.restores else (parts.residual,)), *(one.stored for one in parts.added)):
        stored_residual.verify(stored.folder)


def check_added(sources: MergeSources, known: Collection[str]) -> None:
    """Refuse an added residual that was cut from none of the known models, unless it is transferred.

    Raises:
        StageError: BaseMismatch.
    """
    for one in sources.added:
        base = stored_residual.read_description(one.residual).base_fingerprint
        if base not in known and not one.transferred:
            raise StageError(
                StageReason.BASE_MISMATCH,
                f"residual {one.residual.name} was cut from a base with fingerprint {base}; expected the run's base or "
                f"the residual's instruct model ({', '.join(known)}); if another of its family is meant, transfer it: "
                "transfer: SameFamily, by hand PLACE=SCALE=SameFamily",
            )


def _added(source: AddedSource, start: Model, base_rows: int, progress: Progress) -> Added:
    description = stored_residual.read_description(source.residual)
    _require_numbers(description, source.residual)
    config = instruct_assets.read_configuration(source.residual)
    if source.transferred:
        compatibility.check_transfer(start, config, source.residual, progress)
    else:
        compatibility.check_served(start, config, source.residual)
    stored = stored_residual.open_shards(source.residual, description.encoding)
    _require_known_formats(stored)
    if description.base_rows is not None:
        seen = f"{source.residual} changes the number of tokens, from {description.base_rows} to {stored.rows} rows"
        message = f"{seen}; only the residual that makes the instruct model can: add one of equal vocabularies"
        raise StageError(StageReason.RESIDUAL_INCOMPATIBLE, message)
    if stored.rows == base_rows:
        stored = stored.with_rows(start.rows)
    _refuse_differences(
        {name: one.shape for name, one in start.tensors.items()}, _shapes(stored.tensors), start.folder, source.residual
    )
    return Added(stored=stored, scale=source.scale)


def _require_rows(start: Model, description: Description, residual: Stored) -> None:
    expected = description.base_rows or residual.rows
    if start.rows != expected:
        message = f"{residual.folder} was cut from a base of {expected} tokens, {start.folder} has {start.rows}"
        raise StageError(
            StageReason.RESIDUAL_INCOMPATIBLE, f"{message}; only a base with as many rows of embeddings fits"
        )


def _previous(source: PreviousSource, start: Model) -> Previous:
    if (source.version / stored_residual.DESCRIPTION).is_file():
        message = f"{source.version}: a stored residual; expected a model's folder to average with, such as a version's"
        raise StageError(StageReason.MODEL_UNREADABLE, message)
    model = model_folder.accept(source.version)
    compatibility.check_previous(start, model)
    return Previous(model=model, share=source.share)


def _check_residual(parts: MergeInputs, *, own: bool) -> None:
    ours: Mapping[str, object] = _shapes(parts.start.tensors)
    theirs: Mapping[str, object] = _shapes(parts.residual.tensors)
    if own:
        ours = {name: (parts.residual.dtype(parts.forms(name)), shape) for name, shape in ours.items()}
        theirs = {name: (parts.residual.tensors[name].dtype, shape) for name, shape in theirs.items()}
    _refuse_differences(ours, theirs, parts.start.folder, parts.residual.folder)


def _check_scales(parts: MergeInputs, progress: Progress) -> None:
    decided: dict[str, str] = {}
    for one in parts.scales:
        found = fnmatch.filter(parts.start.tensors, one.tensors)
        if not found:
            known = few(sorted(parts.start.tensors), separator=", ")
            seen = (
                f"no tensor of {parts.start.folder} matches {one.tensors}; expected a pattern of such names as {known}"
            )
            raise StageError(StageReason.INVALID_SPEC, f"{_SCALES}: {seen}")
        before = list(dict.fromkeys(decided[name] for name in found if name in decided))
        left = [name for name in found if name not in decided]
        if not left:
            seen = f"{one.tensors} decides no tensor, since all that match it match the earlier patterns"
            hint = "the first that matches counts: name it before them, or leave it out"
            message = f"{_SCALES}: {seen} {few(before, separator=', ')}; {hint}"
            raise StageError(StageReason.INVALID_SPEC, message)
        decided |= dict.fromkeys(left, one.tensors)
    if parts.scale is not None and len(decided) == len(parts.start.tensors):
        progress.warn(
            f"{_SCALES}: the patterns match every tensor, so residual.scale (--scale) and a search change nothing; "
            "leave some tensors out if that is not meant"
        )


def _require_numbers(description: Description, folder: pathlib.Path) -> None:
    if description.encoding != Encoding.DIFFERENCE:
        seen = f"{folder} is stored as patterns of bits, which say nothing without their own base"
        raise StageError(
            StageReason.RESIDUAL_INCOMPATIBLE,
            f"{seen}; make its InstructionResidual anew: it is then stored as numbers",
        )


def _require_known_formats(stored: Stored) -> None:
    if odd := [f"{name}: {one.dtype}" for name, one in sorted(stored.tensors.items()) if one.dtype not in FORMATS]:
        seen = f"{stored.folder}: {len(odd)} tensors in number formats unknown here: {few(odd)}"
        message = f"{seen}; this version reads {', '.join(sorted(FORMATS))}: extract it again"
        raise StageError(StageReason.RESIDUAL_INCOMPATIBLE, message)


def _formats(start: Model) -> dict[str, Format]:
    return {name: tensor.form for name, tensor in start.tensors.items()}


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: one.shape for name, one in tensors.items()}


def _refuse_differences(
    ours: Mapping[str, object], theirs: Mapping[str, object], start: pathlib.Path, residual: pathlib.Path
) -> None:
    if names := sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)):
        faults = [f"{name}: start {ours.get(name)}, residual {theirs.get(name)}" for name in names]
        seen = f"{len(faults)} tensors differ: {few(faults)}"
        raise StageError(StageReason.RESIDUAL_INCOMPATIBLE, f"{residual} does not fit {start}: {seen}")
