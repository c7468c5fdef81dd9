"""Whether models are what they are called: base and instruct not swapped, training begun at the right one.

A pair of one model twice, or weights that hold the residual already, give a candidate that is wrong
without being damaged. What is certain is refused, what is only likely is said as a warning. Knows
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
"""Distance to the pair's other model, in residuals, below which training began there: half the way and more."""
_ALONG = 0.35
"""Cosine of drift and residual from which training learned much of what the residual brings."""
_STRANGERS = 0.5
"""Cosine of base and instruct below which no tuning led from one to the other; of unrelated models it is 0."""


def check_roles(base: Model, instruct: Model, progress: Progress) -> None:
    """Refuse a base and an instruct model that make sense the other way round; warn where nothing tells them apart.

    Raises:
        StageError: the base has a chat template and the instruct model has none.
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


def check_residual(gauges: Norms, base: Model, instruct: Model, *, alike: bool) -> None:
    """Refuse a residual of nothing.

    `alike` says that every weight of one model is that of the other, rounded to its format.

    Raises:
        StageError: the two models are one.
    """
    norm = gauges.relative_residual
    if alike or not norm:
        seen = f"relative norm of the residual {norm:.2g} (base {base.folder}, instruct {instruct.folder})"
        hint = "name the base that the instruct model was tuned from"
        raise StageError(StageReason.RESIDUAL_INCOMPATIBLE, f"base and instruct are the same weights, {seen}; {hint}")


def check_kinship(cosines: Sequence[float], base: Model, instruct: Model, progress: Progress) -> None:
    """Warn of two models that no tuning connects, told the cosine between them of each matrix."""
    kinship = statistics.median(cosines) if cosines else 1.0
    if kinship <= _STRANGERS:
        seen = f"(median cosine {kinship:.2f}; base {base.folder}, instruct {instruct.folder})"
        hint = "no tuning moves weights so far: is this the base that it was tuned from?"
        progress.warn(f"base and instruct model have little in common; {hint} {seen}")


def check_start(trained: pathlib.Path, *, expected: str, other: str, direct: bool) -> bool:
    """Whether the seal of trained weights proves that training began at the right model; no seal proves nothing.

    `expected` is the fingerprint of the base, or with Direct of the instruct model; `other` that of the pair's other.

    Raises:
        StageError: BaseMismatch, naming both: it began at another model.
    """
    try:
        said = sealed.verify(trained, deep=False).parents.get(sealed.START)
    except sealed.BrokenSealError:
        return False
    if said not in (None, expected):
        began = _name(direct=not direct) if said == other else "another model"
        message = (
            f"{trained}: training began at {began}, fingerprint {said}; expected {_name(direct=direct)}, {expected}"
        )
        raise StageError(StageReason.BASE_MISMATCH, f"{message}: {_hint(direct=direct)}")
    return said == expected


def check_drift(gauges: Norms, trained: pathlib.Path, *, scale: float | None, proven: bool, progress: Progress) -> None:
    """Refuse weights that were trained from the pair's other model, warn where training went along the residual.

    The gauges are of the ways from the start to `trained` and to the other model; scale None means Direct.
    Weights whose start is `proven` are never refused.

    Raises:
        StageError: BaseMismatch with the figures.
    """
    if not gauges.drift:
        progress.warn(f"{trained}: no weight differs from the start's, nothing was trained: is this the folder meant?")
    if scale is not None and scale <= 0:
        return  # what is not added cannot be added twice
    if not gauges.residual:
        progress.warn("the residual is nothing: its base and instruct model are one; extract it from another pair")
        return
    direct = scale is None
    figures = f"{gauges.closeness:.2f} residuals from it, alignment {gauges.alignment:.2f}"
    if gauges.closeness <= _SAME and not proven:
        holds = "lack the residual" if direct else "hold the residual already"
        seen = f"{trained}: these weights {holds}, they are close to {_name(direct=not direct)} ({figures})"
        raise StageError(
            StageReason.BASE_MISMATCH, f"{seen}; expected training from {_name(direct=direct)}: {_hint(direct=direct)}"
        )
    if gauges.alignment >= _ALONG:
        seen = f"training moved towards {_name(direct=not direct)} ({figures}; usual is an alignment below 0.2)"
        cause = (
            "it began there, or undid the tuning" if direct else "it began there, or on texts like those of the tuning"
        )
        progress.warn(f"{seen}: {cause}? {_hint(direct=direct)}")


def stops(model: Model) -> frozenset[int]:
    """Tokens that end an answer."""
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
