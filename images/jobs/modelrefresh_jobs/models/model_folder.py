"""Acceptance of model folders, and fingerprints of their weights.

Safetensors of known architectures in a plain floating point format; nothing that loads code.
A fingerprint names the weights whatever their sharding. Does not compare models (`weights/compatibility.py`).
"""

import dataclasses
import hashlib
import json
import logging
import pathlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.models import arithmetic, families, model_card, model_config
from modelrefresh_jobs.models.families import Family
from modelrefresh_jobs.process import cores, errors, guarded_files, parallel
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import model_files
from modelrefresh_jobs.tensors import dtypes, safetensors_reader
from modelrefresh_jobs.tensors.dtypes import Format
from modelrefresh_jobs.tensors.safetensors_reader import Reader, Tensor

LOG = logging.getLogger("modelrefresh.jobs")

EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"
_DERIVED = "rotary_emb.inv_freq"
"""End of the name of a tensor that old exporters store; loaders compute it from config.json."""
_CODE_KEYS = frozenset({"auto_map", "trust_remote_code", "custom_generate", "custom_pipelines", "use_kernels"})
_KERNELS = ("implementation", "implementation_internal", "kernel", "kernels", "kernel_config")
"""Ends of keys that choose a kernel; transformers fetches one that is named as ORG/NAME (CVE-2026-4372)."""
_CONFIGS = "*config.json"
_LAYER = re.compile(r"model\.layers\.(\d{1,6})\.")
_JSON_LIMIT = 256 << 20
"""Most bytes of a JSON file; the largest tokenizers have some 40 MiB."""
_LEFT_BY_TRAINERS = frozenset({"zero_to_fp32.py"})
"""DeepSpeed copies it into every checkpoint; no configuration names it and no loader reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """An accepted model folder."""

    folder: pathlib.Path
    architecture: str
    tied: bool
    """The head is the embedding; then no head is stored."""
    config: Mapping[str, object]
    """config.json as it was read."""
    tensors: Mapping[str, Tensor]
    """By name, without derived ones and a copied head."""

    @property
    def family(self) -> Family:
        """Its row in the table."""
        return families.of(self.config)

    @property
    def parameters(self) -> int:
        """Number of weights; tied ones count once."""
        return sum(tensor.count for tensor in self.tensors.values())

    @property
    def rows(self) -> int:
        """Rows of its embedding: tokens, and padding after them."""
        return self.tensors[EMBEDDING].shape[0] if EMBEDDING in self.tensors else 0

    def with_rows(self, rows: int) -> "Model":
        """The same with this many rows of embedding and head, cut or filled up with zeros."""
        return dataclasses.replace(self, tensors=with_rows(self.tensors, rows))

    @property
    def formats(self) -> tuple[str, ...]:
        """Number formats of its tensors, sorted, as safetensors spells them."""
        return tuple(sorted({tensor.dtype for tensor in self.tensors.values()}))


def accept(folder: pathlib.Path) -> Model:
    """Check a model folder and open its tensors; no weights are read but those of a copied head.

    Raises:
        StageError: ModelUnreadable, when it loads code, is quantised, of an unknown architecture or damaged.
    """
    refuse_code(folder)
    config = read_json(folder / "config.json")
    if config.get("quantization_config"):
        raise _quantised(folder, config, errors.shown(config["quantization_config"]))
    architectures = config.get("architectures")
    name = architectures[0] if isinstance(architectures, list) and len(architectures) == 1 else None
    if not families.named(name):
        known = ", ".join(sorted(family.architecture for family in families.FAMILIES))
        message = f"{folder}: architecture {errors.shown(architectures)}; known are {known}"
        raise StageError(StageReason.MODEL_UNREADABLE, message)
    model_config.check(folder, config)
    tied = arithmetic.tied(config)
    found = model_files.weights(folder)
    model_files.refuse_other(folder, found, config)
    stored = {name: one for name, one in safetensors_reader.open_weights(found).items() if not name.endswith(_DERIVED)}
    if odd := sorted(f"{one.name} ({one.dtype})" for one in stored.values() if one.dtype not in dtypes.FORMATS):
        seen = f"expected {sorted(dtypes.FORMATS)} weights, saw {errors.few(odd, separator=', ')}"
        raise _quantised(folder, config, seen)
    _check_size(folder, config, stored)
    if tied and HEAD in stored:
        _drop_copied_head(folder, stored)
    return Model(folder=folder, architecture=str(name), tied=tied, config=config, tensors=stored)


def _check_size(folder: pathlib.Path, config: Mapping[str, object], stored: Mapping[str, Tensor]) -> None:
    # A loader makes up what is missing and passes over what is too much; `preflight` compares every tensor of a start.
    said, layers = arithmetic.of(config), {int(found[1]) for name in stored if (found := _LAYER.match(name))}
    faults = []
    if layers and layers != set(range(said["num_hidden_layers"])):
        faults.append(f"num_hidden_layers {said['num_hidden_layers']}, but there are weights of {len(layers)} layers")
    width = stored[EMBEDDING].shape[-1] if EMBEDDING in stored else said["hidden_size"]
    if width != said["hidden_size"]:
        faults.append(f"hidden_size {said['hidden_size']}, but {EMBEDDING} is {list(stored[EMBEDDING].shape)}")
    if faults:
        message = f"{folder}: its config.json says {'; '.join(faults)}: copy the whole checkpoint of one release"
        raise StageError(StageReason.MODEL_UNREADABLE, message)


def _quantised(folder: pathlib.Path, config: Mapping[str, object], seen: str) -> StageError:
    original = model_card.original_of(folder, config)
    wanted = f"{original}, from which it was made" if original else "its bf16 release"
    message = f"{folder}: quantised ({seen}): such weights cannot be added; use {wanted}"
    return StageError(StageReason.MODEL_UNREADABLE, message)


def with_rows(tensors: Mapping[str, Tensor], rows: int) -> dict[str, Tensor]:
    """Tensors of which embedding and head have this many rows, cut or filled up with zeros."""
    return {name: one.with_rows(rows) if name in (EMBEDDING, HEAD) else one for name, one in tensors.items()}


def refuse_code(folder: pathlib.Path) -> None:
    """Refuse a folder whose files could make a loader run code.

    Raises:
        StageError: ModelUnreadable, when there are Python files, or keys that name code in a configuration.
    """
    scripts = (path for path in folder.rglob("*.py") if path.name not in _LEFT_BY_TRAINERS)
    found = sorted(str(path.relative_to(folder)) for path in scripts)
    for path in sorted(folder.glob(_CONFIGS)):
        found += [f"{path.name}: {key}" for key in sorted(set(_code_keys(read_json(path))))]
    if found:
        message = f"{folder}: would load code: {errors.few(found, separator=', ')}"
        raise StageError(StageReason.MODEL_UNREADABLE, f"{message}; use a model that transformers supports itself")


def read_json(path: pathlib.Path) -> dict[str, object]:
    """A JSON object from a model folder.

    Raises:
        StageError: ModelUnreadable, when it is missing, too large, not JSON or not an object.
    """
    try:
        document = json.loads(guarded_files.read(path, limit=_JSON_LIMIT).decode())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        there = sorted(entry.name for entry in path.parent.iterdir()) if path.parent.is_dir() else ["no folder"]
        names = errors.few(there, separator=", ") or "nothing"
        message = f"{path}: missing; the folder holds {names}, expected a Hugging Face checkpoint"
        raise StageError(StageReason.MODEL_UNREADABLE, message) from None
    except (ValueError, RecursionError) as error:
        place = f": {error.msg} at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise StageError(StageReason.MODEL_UNREADABLE, f"{path}: not JSON ({type(error).__name__}{place})") from error
    if not isinstance(document, dict):
        raise StageError(StageReason.MODEL_UNREADABLE, f"{path}: expected an object, saw {type(document).__name__}")
    return document


def fingerprint(folder: pathlib.Path) -> str:
    """Name of the weights: sha256, as hex digits, over sorted (name, dtype, shape, sha256 of the bytes).

    Equal for equal weights in any sharding. Never cached: sizes and times of files can be forged.

    Raises:
        StageError: ModelUnreadable, as `accept` raises it.
    """
    model = accept(folder)
    with parallel.Workers(cores.allowed()) as workers:
        return combine(dict(zip(model.tensors, workers.in_order(content, model.tensors.values()), strict=True)), model)


def combine(hashes: Mapping[str, str], model: Model, formats: Mapping[str, Format] | None = None) -> str:
    """The fingerprint from the sha256 of all tensors by name, for a pass that reads them anyway.

    With `formats` it is that of another model with this one's names and shapes.
    """
    known = formats or {name: tensor.form for name, tensor in model.tensors.items()}
    lines = [
        f"{name} {known[name].name} {list(model.tensors[name].shape)} {hashes[name]}\n"
        for name in sorted(model.tensors)
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def content(tensor: Tensor) -> str:
    """The sha256 of its bytes, as hex digits."""
    LOG.debug("hashing %s of %s", tensor.name, tensor.file)
    digest = hashlib.sha256()
    with Reader() as reader:
        for span in safetensors_reader.blocks(tensor):
            digest.update(reader.raw(tensor, *span))
    return digest.hexdigest()


def _names_code(value: object) -> bool:
    if isinstance(value, dict | list):
        return any(map(_names_code, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and ("/" in value or ":" in value)


def _drop_copied_head(folder: pathlib.Path, stored: dict[str, Tensor]) -> None:
    head, embedding = stored.pop(HEAD), stored.get(EMBEDDING)
    with Reader() as reader:
        if (
            embedding is not None
            and (head.dtype, head.shape) == (embedding.dtype, embedding.shape)
            and all(reader.raw(head, *span) == reader.raw(embedding, *span) for span in safetensors_reader.slices(head))
        ):
            return
    message = f"{folder}: config.json ties head and embedding, but {HEAD} differs from {EMBEDDING}; correct the config"
    raise StageError(StageReason.MODEL_UNREADABLE, message)


def _code_keys(document: object) -> Iterator[str]:
    if isinstance(document, dict):
        for key, value in document.items():
            if (key in _CODE_KEYS and value not in (False, None)) or (key.endswith(_KERNELS) and _names_code(value)):
                yield key
            yield from _code_keys(value)
    elif isinstance(document, list):
        for value in document:
            yield from _code_keys(value)
