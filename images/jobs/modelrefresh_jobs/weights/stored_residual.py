"""Reading of a stored residual: the tensors of its shards and its description.

`residuals/<digest>/` holds the shards, the instruct model's files beside weights, and a description that names the
base it was cut from. Knows no arithmetic (`residual_math`) and does not make residuals (the stage `extract` does).
"""

import json
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass

from modelrefresh.contract import codec
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.models.model_folder import Model
from modelrefresh_jobs.process.errors import StageError, shown
from modelrefresh_jobs.storage import sealed
from modelrefresh_jobs.tensors import dtypes, safetensors_reader
from modelrefresh_jobs.tensors.dtypes import Format
from modelrefresh_jobs.tensors.safetensors_reader import Tensor

KIND = "residual"
STEM = "residual"
DESCRIPTION = "residual.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """Formats of one tensor, as safetensors spells them."""

    base: str
    instruct: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The description of a stored residual (residual.json)."""

    architecture: str
    base_fingerprint: str
    """Of the weights, as `model_folder.fingerprint` gives it; so is the next."""
    instruct_fingerprint: str
    encoding: str = "xor"
    """How the shards encode it, see `residual_math`."""
    mixed: Mapping[str, Formats] | None = None
    """By name, the tensors whose formats differ; for all others the base's format is the instruct model's."""

    def formats(self, start: Model, *, direct: bool) -> dict[str, Format]:
        """By tensor, the formats of the pair's other model: the instruct model, with Direct the base."""
        others = {name: one.base if direct else one.instruct for name, one in (self.mixed or {}).items()}
        return {name: dtypes.FORMATS[others.get(name, tensor.dtype)] for name, tensor in start.tensors.items()}


def read_description(folder: pathlib.Path) -> Description:
    """The description of a stored residual.

    Raises:
        StageError: ResidualIncompatible, when it is not sealed, or has an encoding or number formats unknown here.
    """
    try:
        sealed.verify(folder, deep=False)
        found = codec.from_document(Description, json.loads((folder / DESCRIPTION).read_text()))
    except (sealed.BrokenSealError, OSError, ValueError, RecursionError) as error:
        message = f"{folder}: not a whole residual: {error}; extract it again"
        raise StageError(StageReason.RESIDUAL_INCOMPATIBLE, message) from error
    if found.encoding != "xor":
        message = f"{folder}: encoding {shown(found.encoding)}; this version reads 'xor': extract it again"
        raise StageError(StageReason.RESIDUAL_INCOMPATIBLE, message)
    named = {name for one in (found.mixed or {}).values() for name in (one.base, one.instruct)}
    if odd := sorted(named - set(dtypes.FORMATS)):
        message = f"{folder}: number formats {odd}; this version reads {sorted(dtypes.FORMATS)}: extract it again"
        raise StageError(StageReason.RESIDUAL_INCOMPATIBLE, message)
    return found


def open_shards(folder: pathlib.Path) -> Mapping[str, Tensor]:
    """The stored residual's tensors by name: bit patterns in the shapes of the model's weights.

    Raises:
        StageError: ModelUnreadable, when the shards are missing or damaged.
    """
    return safetensors_reader.open_folder(folder, stem=STEM)
