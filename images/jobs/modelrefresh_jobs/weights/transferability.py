"""Whether a residual may be added to another base than its own: a model of the same family.

The same architecture, arithmetic, tokens and shapes; what may differ is how positions are encoded and how many there
are, since releases of a family change just that. Such differences are told, and the candidate keeps those of the base
that was trained. Knows no weights' values.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.models import instruct_assets, model_config, vocabularies
from modelrefresh_jobs.models.model_folder import Model
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress


def check(start: Model, instruct: Mapping[str, Any], residual: pathlib.Path, progress: Progress) -> dict[str, object]:
    """The config.json under which start and residual are served; warns of what differs.

    Raises:
        StageError: ResidualIncompatible, when the two are of different families or fit together in no other way.
        StageError: ModelUnreadable, when one of the tokenizers cannot be loaded.
    """
    theirs = _architecture(instruct)
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


def _architecture(config: Mapping[str, Any]) -> str:
    named = config.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else "an unknown architecture"
