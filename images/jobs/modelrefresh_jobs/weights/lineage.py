"""Checks that models are what they are called: base and instruct not swapped, training begun at the right one.

A pair of one model twice, or weights that hold the residual already, give a candidate that is wrong
without being damaged. What is certain is refused, what is only likely becomes a warning. Knows
figures and files, does no arithmetic on weights. Bounds: docs/decisions/0016.
"""

import pathlib
import statistics
from collections.abc import Sequence

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.models import instruct_assets, model_folder
from modelrefresh_jobs.models.model_folder import Model
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import sealed
from modelrefresh_jobs.weights.residual_math import Norms

_SAME = 0.5
"""Largest `Norms.closeness` at which training counts as begun at the pair's other model."""
_ALONG = 0.35
"""Smallest cosine of drift and residual at which training went along the residual."""
_STRANGERS = 0.5
"""Largest median cosine of base and instruct at which they count as unrelated; of unrelated models it is about 0."""


def check_roles(base: Model, instruct: Model, progress: Progress) -> None:
    """Refuse a base and an instruct model that are swapped; warn where nothing tells them apart.

    Raises:
        StageError: ResidualIncompatible, when the base has a chat template and the instruct model has none.
        StageError: ModelUnreadable, when a file that says so is no JSON object.
    """
    templates = instruct_assets.has_template(base.folder), instruct_assets.has_template(instruct.folder)
    before, after = stops(base), stops(instruct)
    seen = f"(base {base.folder}, instruct {instruct.folder})"
    if templates == (True, False):
        message = f"the base has a chat template and the instruct model has none {seen}; expected the other way round"
        raise StageError(
            StageReason.RESIDUAL_INCOMPATIBLE, f"{message}: swap them, or add the template that was not saved"
        )
    if not any(templates):
        progress.warn(f"neither model has a chat template, so nothing tells which is which; look once more {seen}")
    elif all(templates) and before > after:
        extra = sorted(before - after)
        progress.warn(f"both models have a chat template, but only the base stops at {extra}: are they swapped? {seen}")
    elif all(templates) and before == after:
        progress.warn(
            f"same stop tokens and both with a chat template: nothing tells which is which; look again {seen}"
        )


def check_residual(norms: Norms, base: Model, instruct: Model, *, alike: bool) -> None:
    """Refuse a residual that is zero.

    `norms` has start and residual, no drift. `alike`: rounded to one of the two formats, all weights are equal.

    Raises:
        StageError: ResidualIncompatible, when base and instruct are the same weights.
    """
    relative = norms.relative_residual
    if alike or not relative:
        seen = f"relative norm of the residual {relative:.2g} (base {base.folder}, instruct {instruct.folder})"
        hint = "name the base that the instruct model was tuned from"
        raise StageError(StageReason.RESIDUAL_INCOMPATIBLE, f"base and instruct are the same weights, {seen}; {hint}")


def check_kinship(cosines: Sequence[float], base: Model, instruct: Model, progress: Progress) -> None:
    """Warn of two unrelated models; `cosines` has one per matrix, between its weights in both, -1 to 1."""
    kinship = statistics.median(cosines) if cosines else 1.0
    if kinship <= _STRANGERS:
        seen = f"(median cosine {kinship:.2f}; base {base.folder}, instruct {instruct.folder})"
        hint = "no tuning moves weights so far: is this the base that it was tuned from?"
        progress.warn(f"base and instruct model have little in common; {hint} {seen}")


def check_start(trained: pathlib.Path, *, expected: str, other: str, direct: bool) -> bool:
    """Whether the seal of trained weights proves that training began at the right model; False without a whole one.

    `expected` is the fingerprint of the base, or with Direct of the instruct model; `other` that of the pair's other.

    Raises:
        StageError: BaseMismatch, when training began at another model.
    """
    try:
        begun = sealed.verify(trained, deep=False).parents.get(sealed.START)
    except sealed.BrokenSealError:
        return False
    if begun not in (None, expected):
        began = _name(direct=not direct) if begun == other else "another model"
        message = (
            f"{trained}: training began at {began}, fingerprint {begun}; expected {_name(direct=direct)}, {expected}"
        )
        raise StageError(StageReason.BASE_MISMATCH, f"{message}: {_hint(direct=direct)}")
    return begun == expected


def check_drift(norms: Norms, trained: pathlib.Path, *, scale: float | None, proven: bool, progress: Progress) -> None:
    """Refuse weights that were trained from the pair's other model, warn where training went along the residual.

    `norms` has the drift (trained minus start) and the residual (other minus start); scale None means Direct.
    Weights whose start is `proven` are never refused.

    Raises:
        StageError: BaseMismatch, when the weights are close to the other model; the message has the figures.
    """
    if not norms.drift:
        progress.warn(f"{trained}: no weight differs from the start's, nothing was trained: is this the folder meant?")
    if scale is not None and scale <= 0:
        return  # what is not added cannot be added twice
    if not norms.residual:
        progress.warn("the residual is nothing: its base and instruct model are one; extract it from another pair")
        return
    direct = scale is None
    figures = f"{norms.closeness:.2f} residuals from it, alignment {norms.alignment:.2f}"
    if norms.closeness <= _SAME and not proven:
        holds = "lack the residual" if direct else "hold the residual already"
        seen = f"{trained}: these weights {holds}, they are close to {_name(direct=not direct)} ({figures})"
        raise StageError(
            StageReason.BASE_MISMATCH, f"{seen}; expected training from {_name(direct=direct)}: {_hint(direct=direct)}"
        )
    if norms.alignment >= _ALONG:
        seen = f"training moved towards {_name(direct=not direct)} ({figures}; usual is an alignment below 0.2)"
        cause = (
            "it began there, or undid the tuning" if direct else "it began there, or on texts like those of the tuning"
        )
        progress.warn(f"{seen}: {cause}? {_hint(direct=direct)}")


def stops(model: Model) -> frozenset[int]:
    """Ids of the tokens that end an answer.

    Raises:
        StageError: ModelUnreadable, when generation_config.json is no JSON object.
    """
    generation = model.folder / "generation_config.json"
    document = model_folder.read_json(generation) if generation.is_file() else {}
    found = document.get("eos_token_id", model.config.get("eos_token_id"))
    return frozenset(one for one in (found if isinstance(found, list) else [found]) if isinstance(one, int))


def _name(*, direct: bool) -> str:
    return "the instruct model" if direct else "the base"


def _hint(*, direct: bool) -> str:
    if direct:
        return "train the instruct model, or take strategy Residual"
    return "the residual would count twice; train the base, or take strategy Direct"
