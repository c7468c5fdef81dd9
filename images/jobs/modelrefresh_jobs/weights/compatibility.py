"""Comparison of models that must fit together: a pair, start and trained of a run, a residual and another base.

Compares architecture, arithmetic, tensor names, shapes and tokenizers, and names every kind of
difference at once with a few examples. Number formats may differ. Knows no weights' values.
"""

import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.models import arithmetic, instruct_assets, model_config, model_folder, vocabularies
from modelrefresh_jobs.models.model_folder import Model
from modelrefresh_jobs.process import errors
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress

LOG = logging.getLogger("modelrefresh.jobs")


def check_pair(base: Model, instruct: Model) -> None:
    """Refuse a base and an instruct model that are not one pair.

    Raises:
        StageError: ResidualIncompatible, when they differ; the message names all kinds of differences.
        StageError: ModelUnreadable, when one of the tokenizers cannot be loaded.
    """
    faults = _architectures(base, instruct, "base", "instruct")
    faults += model_config.differences(base.config, instruct.config, "base", "instruct", unknown=True)
    faults += [*_vocabulary(base, "base"), *_vocabulary(instruct, "instruct")]
    faults += _tensors(base.with_rows(instruct.rows), instruct, "base", "instruct")
    faults += vocabularies.differences(base.folder, instruct.folder)
    hint = "base and instruct must be two releases of one model"
    if strange := model_config.unknown_differences(base.config, instruct.config):
        named = errors.few(strange, separator=", ")
        hint += f"; if the weights do not need {named}, take it out of config.json in a copy of the folder"
    _refuse(faults, base.folder, instruct.folder, hint=hint)
    model_config.announce(base.config, instruct.config, instruct.folder)
    if base.rows != instruct.rows:
        seen = "%s: %d rows of embeddings, base %d; refreshed models have the instruct model's"
        LOG.info(seen, instruct.folder, instruct.rows, base.rows)


def check_trained(start: Model, trained: Model) -> None:
    """Refuse a trained checkpoint that is not the start with other values.

    Number formats may differ: all are summed in float64 and rounded once, at the end.

    Raises:
        StageError: ResidualIncompatible, when they differ; the message names all kinds of differences.
    """
    faults = _architectures(start, trained, "start", "trained")
    faults += model_config.differences(start.config, trained.config, "start", "trained")
    faults += _tensors(start, trained, "start", "trained")
    _refuse(faults, start.folder, trained.folder, hint="train the very model that the run starts from")


def check_previous(start: Model, previous: Model) -> None:
    """Refuse a version that cannot be averaged with what the start becomes, whose rows it has already.

    Raises:
        StageError: ResidualIncompatible, when they differ; the message names all kinds of differences.
    """
    faults = _architectures(start, previous, "start", "previous")
    faults += model_config.differences(start.config, previous.config, "start", "previous")
    if previous.rows != start.rows:
        seen = f"previous has {previous.rows} rows of embeddings"
        faults.append(f"{seen}; expected {start.rows}, as many as the residual's instruct model")
    faults += _tensors(start, previous.with_rows(start.rows), "start", "previous")
    hint = "leave out spec.average (by hand --previous) until a version of this base and instruct model serves"
    _refuse(faults, start.folder, previous.folder, hint=hint)


def check_served(start: Model, instruct: Mapping[str, Any], residual: pathlib.Path) -> None:
    """Refuse a start whose arithmetic is not that of the configuration under which its weights will be served.

    Raises:
        StageError: ResidualIncompatible, when they differ; the message names all differences.
    """
    faults = served_differences(start, instruct)
    hint = "the residual was cut by a release that did not compare them: extract it again from a true pair"
    _refuse(faults, start.folder, residual, hint=hint)


def check_transfer(
    start: Model, instruct: Mapping[str, Any], residual: pathlib.Path, progress: Progress
) -> dict[str, object]:
    """The config.json under which a start and the residual of another release are served; warns of what differs.

    What may differ is how positions are encoded and how many there are, which releases of a family change; the
    candidate keeps those of the start, which was trained with them.

    Raises:
        StageError: ResidualIncompatible, when the two are of different families or fit together in no other way.
        StageError: ModelUnreadable, when one of the tokenizers cannot be loaded.
    """
    theirs = _named(instruct)
    if theirs != start.architecture:
        seen = f"{theirs} (residual {residual}) against {start.architecture} (start {start.folder})"
        raise StageError(
            StageReason.RESIDUAL_INCOMPATIBLE,
            f"a residual cannot go over to another family: {seen}; extract one from a pair of the start's family",
        )
    roles = "start", "residual's model"
    served = model_config.transferred(start.config, instruct)
    faults = model_config.differences(start.config, served, *roles, unknown=True)
    faults += vocabularies.differences(start.folder, residual / instruct_assets.FOLDER)
    if faults:
        raise StageError(
            StageReason.RESIDUAL_INCOMPATIBLE,
            f"{residual} cannot be transferred to {start.folder}: {'; '.join(faults)}; only releases that differ in "
            "their weights and in how positions are encoded fit together",
        )
    if found := model_config.position_differences(start.config, instruct, *roles):
        progress.warn(
            f"{residual.name} is transferred to a base that encodes positions otherwise: {'; '.join(found)}; "
            "the candidate keeps the start's"
        )
    return served


def served_differences(start: Model, instruct: Mapping[str, Any]) -> list[str]:
    """What `check_served` would refuse."""
    return model_config.differences(start.config, instruct, "start", "instruct", unknown=True)


def _architectures(left: Model, right: Model, left_role: str, right_role: str) -> list[str]:
    if left.architecture == right.architecture:
        return []
    return [f"architecture: {left_role} {left.architecture}, {right_role} {right.architecture}"]


def _vocabulary(model: Model, role: str) -> list[str]:
    size = arithmetic.of(model.config)["vocab_size"]
    found = [model.tensors[name] for name in (model_folder.EMBEDDING, model_folder.HEAD) if name in model.tensors]
    return [f"vocab_size: {role} {size}, but {one.name} is {list(one.shape)}" for one in found if one.shape[0] != size]


def _tensors(left: Model, right: Model, left_role: str, right_role: str) -> list[str]:
    shapes = []
    for name in sorted(set(left.tensors) & set(right.tensors)):
        ours, theirs = left.tensors[name].shape, right.tensors[name].shape
        if ours != theirs:
            shapes.append(f"{name}: {left_role} {list(ours)}, {right_role} {list(theirs)}")
    return [
        *_several(f"only in {left_role}", sorted(set(left.tensors) - set(right.tensors))),
        *_several(f"only in {right_role}", sorted(set(right.tensors) - set(left.tensors))),
        *_several("other shapes", shapes),
    ]


def _several(cause: str, names: Sequence[str]) -> list[str]:
    return [f"{cause}: {errors.few(names, separator=', ')}"] if names else []


def _refuse(faults: Sequence[str], left: pathlib.Path, right: pathlib.Path, *, hint: str) -> None:
    if faults:
        raise StageError(
            StageReason.RESIDUAL_INCOMPATIBLE, f"{left} and {right} do not fit: {'; '.join(faults)}; {hint}"
        )


def _named(config: Mapping[str, Any]) -> str:
    named = config.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else "an unknown architecture"
