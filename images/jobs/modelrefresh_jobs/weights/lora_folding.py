"""Folding of PEFT LoRA adapters into weights: `W + scaling * B A`, slice by slice in float64.

Shapes: A `[rank, in]`, B `[out, rank]`, W `[out, in]`; the scaling is alpha / rank, or alpha / sqrt(rank) if
rank-stabilised. Understands patterns of rank and alpha, and layers saved in full (embeddings, head). Refuses
every other setting by name rather than fold it wrongly. Writes nothing.
"""

import dataclasses
import math
import pathlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import regex  # type: ignore[import-untyped]

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.models import model_folder
from modelrefresh_jobs.models.model_folder import Model
from modelrefresh_jobs.process import errors
from modelrefresh_jobs.process.errors import StageError, few
from modelrefresh_jobs.storage import model_files
from modelrefresh_jobs.tensors import dtypes, safetensors_reader
from modelrefresh_jobs.tensors.dtypes import Scratch, Values
from modelrefresh_jobs.tensors.safetensors_reader import Reader, Tensor

_PREFIX = "base_model.model."
_COPY = ".base_layer.weight"
_MATCH_SECONDS = 2.0
"""Time limit for one regular expression of a user on one module's name."""
_UNDERSTOOD = frozenset(
    {
        *("peft_type", "peft_version", "task_type", "base_model_name_or_path", "revision", "inference_mode"),
        *("r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "lora_dropout", "auto_mapping"),
        *("target_modules", "exclude_modules", "modules_to_save", "layers_to_transform", "layers_pattern"),
        *("bias", "init_lora_weights", "ensure_weight_tying", "megatron_core", "loftq_config", "qalora_group_size"),
    }
)
_PLAIN_STARTS = (True, False, None, "gaussian", "orthogonal")
"""Ways to initialise adapters that leave the base weights alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """The stored low-rank change of one weight."""

    a: Tensor
    """`[rank, in]`."""
    b: Tensor
    """`[out, rank]`."""
    scaling: float
    """Factor of the product `B A`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """What an adapter changes, by the start model's tensor names."""

    folded: Mapping[str, Factors]
    """Weights with a low-rank change."""
    replaced: Mapping[str, Tensor]
    """Weights that were trained in full."""

    def with_rows(self, rows: int) -> "Adapter":
        """The same with this many rows of embedding and head, cut or filled up with zeros."""
        folded = dict(self.folded)
        if head := folded.get(model_folder.HEAD):
            folded[model_folder.HEAD] = dataclasses.replace(head, b=head.b.with_rows(rows))
        return Adapter(folded=folded, replaced=model_folder.with_rows(self.replaced, rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class LowRank:
    """The low-rank change of one weight, in memory."""

    a: npt.NDArray[np.float64]
    """`[rank, in]`."""
    b: npt.NDArray[np.float64]
    """`[out, rank]`, times the scaling."""

    def added(self, first: int, last: int, start: Values, scratch: Scratch) -> Values:
        """Weights `[first, last)` with this change, `[last - first]`; `start` has their values, the span whole rows."""
        width = self.a.shape[1]
        values = scratch.array("trained", np.float64, last - first)
        np.matmul(self.b[first // width : last // width], self.a, out=values.reshape(-1, width))
        values += start
        return values


def is_adapter(folder: pathlib.Path) -> bool:
    """Whether a trained folder holds an adapter rather than a checkpoint."""
    return (folder / model_files.ADAPTER_CONFIG).is_file()


def accept(folder: pathlib.Path, start: Model) -> Adapter:
    """Look at an adapter and fit it to the model it was trained on.

    Raises:
        StageError: ResidualIncompatible, when a setting cannot be folded or tensors do not fit.
        StageError: ModelUnreadable, when a file is missing, damaged or would run code.
    """
    model_folder.refuse_code(folder)
    config = model_folder.read_json(folder / model_files.ADAPTER_CONFIG)
    _refuse_settings(folder, config)
    stored = safetensors_reader.open_folder(folder, stem=model_files.ADAPTER)
    if odd := few(f"{one.name}: {one.dtype}" for one in stored.values() if one.dtype not in dtypes.FORMATS):
        raise StageError(
            StageReason.RESIDUAL_INCOMPATIBLE, f"{folder}: expected {sorted(dtypes.FORMATS)} weights, saw {odd}"
        )
    pairs, replaced = _sort(stored)
    _refuse_adapted_embedding(folder, replaced)
    if start.tied:
        _refuse_untied(folder, config, pairs, replaced)
    _drop_copies(replaced, start)
    if faults := [*_misfits(pairs, start), *_misplaced(replaced, start)]:
        raise StageError(StageReason.RESIDUAL_INCOMPATIBLE, f"{folder}: does not fit {start.folder}: {few(faults)}")
    try:
        folded = {
            name: Factors(a=pair["A"], b=pair["B"], scaling=_scaling(config, name.removesuffix(".weight"), pair["A"]))
            for name, pair in pairs.items()
        }
    except (ValueError, TypeError, OverflowError, RecursionError, TimeoutError, regex.error) as error:
        message = f"{folder / model_files.ADAPTER_CONFIG}: lora_alpha or alpha_pattern: {error!s:.200}"
        raise StageError(
            StageReason.RESIDUAL_INCOMPATIBLE, f"{message}; expected numbers, by regular expressions"
        ) from error
    return Adapter(folded=folded, replaced=replaced)


def load(factors: Factors, reader: Reader) -> LowRank:
    """Read both matrices as float64; the scaling goes into B."""
    a, b = _whole(reader, factors.a).reshape(factors.a.shape), _whole(reader, factors.b).reshape(factors.b.shape)
    return LowRank(a=a, b=b * factors.scaling)


def _sort(stored: Mapping[str, Tensor]) -> tuple[dict[str, dict[str, Tensor]], dict[str, Tensor]]:
    pairs: dict[str, dict[str, Tensor]] = {}
    replaced: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        target = name.removeprefix(_PREFIX)
        matched = re.fullmatch(r"(?P<module>.+)\.lora_(?P<part>[AB])\.weight", target)
        if matched:
            pairs.setdefault(f"{matched['module']}.weight", {})[matched["part"]] = tensor
        else:
            replaced[target] = tensor
    return pairs, replaced


def _whole(reader: Reader, tensor: Tensor) -> Values:
    return dtypes.widen(reader.bits(tensor, 0, tensor.count), tensor.form)


def _refuse_settings(folder: pathlib.Path, config: Mapping[str, object]) -> None:
    faults = [
        f"{key}={errors.shown(value)}" for key, value in sorted(config.items()) if key not in _UNDERSTOOD and value
    ]
    if config.get("peft_type") != "LORA":
        faults.append(f"peft_type={errors.shown(config.get('peft_type'))}")
    if config.get("bias", "none") != "none":
        faults.append(f"bias={errors.shown(config['bias'])}")
    if config.get("init_lora_weights", True) not in _PLAIN_STARTS:
        faults.append(f"init_lora_weights={errors.shown(config['init_lora_weights'])}")
    if faults:
        message = f"{folder / model_files.ADAPTER_CONFIG}: settings that cannot be folded exactly"
        raise StageError(StageReason.RESIDUAL_INCOMPATIBLE, f"{message}: {few(faults, separator=', ')}; use plain LoRA")


def _scaling(config: Mapping[str, object], module: str, a: Tensor) -> float:
    rank = a.shape[0]
    alpha = _patterned(config.get("alpha_pattern"), module, config.get("lora_alpha"))
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _patterned(patterns: object, module: str, default: object) -> float:
    # The same rule as peft's: a key is a regular expression for the end of the module's name.
    for key, value in (patterns if isinstance(patterns, dict) else {}).items():
        if regex.match(rf"(.*\.)?({key})$", module, timeout=_MATCH_SECONDS):
            return _finite(value)
    return _finite(default)


def _finite(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"saw {errors.shown(value)}, which is no number")
    return float(value)


def _refuse_adapted_embedding(folder: pathlib.Path, replaced: Mapping[str, Tensor]) -> None:
    adapted = sorted(name for name in replaced if ".lora_embedding_" in name)
    if adapted:
        message = f"{folder}: an adapter on an embedding ({few(adapted)}) cannot be folded"
        raise StageError(
            StageReason.RESIDUAL_INCOMPATIBLE, f"{message}; train it in full (modules_to_save) or not at all"
        )


def _refuse_untied(
    folder: pathlib.Path, config: Mapping[str, object], pairs: Mapping[str, object], replaced: dict[str, Tensor]
) -> None:
    """Refuse head and embedding that training made different; of two that are equal the head is dropped."""
    head, embedding = replaced.pop(model_folder.HEAD, None), replaced.get(model_folder.EMBEDDING)
    if model_folder.HEAD in pairs:
        seen = f"an adapter changed {model_folder.HEAD} alone"
    elif head is None and (embedding is None or config.get("ensure_weight_tying") is True):
        return
    elif head is None:
        seen = (
            f"{model_folder.EMBEDDING} was trained without ensure_weight_tying, "
            f"{model_folder.HEAD} kept the start's values"
        )
    elif embedding is None:
        seen = f"{model_folder.HEAD} was trained alone"
    elif _equal(head, embedding):
        return
    else:
        seen = f"{model_folder.HEAD} and {model_folder.EMBEDDING} were trained apart"
    message = f"{folder}: training untied what the start ties: {seen}"
    raise StageError(
        StageReason.RESIDUAL_INCOMPATIBLE, f"{message}; train with ensure_weight_tying=True or without both"
    )


def _drop_copies(replaced: dict[str, Tensor], start: Model) -> None:
    # PEFT saves the layer below an adapter on a head, though nothing trained it; what differs stays and is refused.
    for name in [name for name in replaced if name.endswith(_COPY)]:
        below = start.tensors.get(name.replace(_COPY, ".weight"))
        if below is not None and below.shape == replaced[name].shape and _equal(replaced[name], below):
            del replaced[name]


def _equal(one: Tensor, other: Tensor) -> bool:
    with Reader() as reader:
        return one.shape == other.shape and all(
            np.array_equal(
                dtypes.widen(reader.bits(one, *span), one.form), dtypes.widen(reader.bits(other, *span), other.form)
            )
            for span in safetensors_reader.slices(one)
        )


def _misfits(pairs: Mapping[str, Mapping[str, Tensor]], start: Model) -> list[str]:
    faults = []
    for name, pair in sorted(pairs.items()):
        if set(pair) != {"A", "B"}:
            faults.append(f"{name}: only lora_{next(iter(pair))}")
        elif name not in start.tensors:
            faults.append(f"{name}: not in the start model")
        elif any(len(one.shape) != 2 or 0 in one.shape for one in pair.values()):  # noqa: PLR2004 -- matrices
            faults.append(f"{name}: B {list(pair['B'].shape)} and A {list(pair['A'].shape)} are no two matrices")
        elif [pair["B"].shape[0], pair["A"].shape[1]] != list(start.tensors[name].shape):
            seen = f"B {list(pair['B'].shape)} A {list(pair['A'].shape)}"
            faults.append(f"{name}: {seen} against {list(start.tensors[name].shape)}")
        elif pair["B"].shape[1] != pair["A"].shape[0]:
            faults.append(f"{name}: ranks {pair['B'].shape[1]} and {pair['A'].shape[0]} of B and A differ")
    return faults


def _misplaced(replaced: Mapping[str, Tensor], start: Model) -> list[str]:
    faults = []
    for name, tensor in sorted(replaced.items()):
        if name.endswith(_COPY):
            faults.append(f"{name}: PEFT's copy of the layer below an adapter, which has other values in the start")
        elif name not in start.tensors:
            faults.append(f"{name}: not in the start model")
        elif tensor.shape != start.tensors[name].shape:
            faults.append(f"{name}: {list(tensor.shape)} against {list(start.tensors[name].shape)}")
    return faults
