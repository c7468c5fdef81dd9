"""Which files of a folder are the model: the one rule for every reader.

Weights are `STEM.safetensors`, or the shards that `STEM.safetensors.index.json` names; a loader
may prefer either, or fold an adapter in unasked, so a folder that leaves a choice is refused.
Companions are what a loader reads for tokenizer and chat, told by suffix. Opens nothing but the index.
"""

import json
import pathlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from modelrefresh.contract import artifacts
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process import errors, guarded_files
from modelrefresh_jobs.process.errors import StageError

MODEL = "model"
"""Stem of a model's weight files, as transformers writes them."""
ADAPTER = "adapter_model"
"""The same of a PEFT adapter."""
ADAPTER_CONFIG = "adapter_config.json"
CONFIG = "config.json"
INDEX_LIMIT = 64 << 20
"""Bytes of an index; one of 100,000 tensors has some ten MiB."""
TEMPLATES = "additional_chat_templates"
"""Folder of named chat templates, as transformers reads and writes it."""
COMPANIONS = frozenset({".codes", ".jinja", ".json", ".model", ".spm", ".tiktoken", ".tokenizer", ".txt"})
"""Suffixes of all files that tokenizers and chat templates are read from."""
VERSIONED = "tokenizer.model.*"
"""Mistral's name for a tokenizer of some version."""
CARD = "README.md"
"""A model's card, which names its licence."""
LICENCES = ("LICENSE*", "LICENCE*", "NOTICE*", "COPYING*", "USE_POLICY*")
_NO_COMPANIONS = frozenset({CONFIG, ADAPTER_CONFIG, "params.json", "trainer_state.json", "requirements.txt"})
"""They tell of weights, of another layout's weights, or of how the model was made."""
_OUR_OWN = frozenset({artifacts.MANIFEST, artifacts.PROVENANCE, artifacts.RESULT})
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The weight files of a folder."""

    files: tuple[pathlib.Path, ...]
    index: pathlib.Path | None = None
    shards: Mapping[str, str] = field(default_factory=dict)
    """With an index: name of the file that holds a tensor, by the tensor's name."""

    @property
    def entry(self) -> str:
        """The file by which a loader finds them all."""
        return (self.index or self.files[0]).name


def index_name(stem: str) -> str:
    """File that says which shard holds which tensor."""
    return f"{stem}.safetensors.index.json"


def weights(folder: pathlib.Path, *, stem: str = MODEL) -> Weights:
    """The weight files of a model, an adapter or a residual.

    Raises:
        StageError: none, not all, or more than one set of them.
    """
    names = frozenset(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else frozenset()
    single, index = f"{stem}.safetensors", index_name(stem)
    shards = _read_index(folder / index) if index in names else {}
    _refuse_choice(folder, names, stem, frozenset(shards.values()))
    if index in names:
        files = sorted(set(shards.values()))
        if missing := [name for name in files if name not in names]:
            said = errors.few(missing, separator=", ")
            raise StageError(
                StageReason.MODEL_UNREADABLE, f"{folder}: shards named by {index} are missing: {said}; copy them"
            )
        return Weights(files=tuple(folder / name for name in files), index=folder / index, shards=shards)
    if single not in names:
        raise _nothing(folder, names, f"{single} or {index}")
    return Weights(files=(folder / single,))


def refuse_other(folder: pathlib.Path, found: Weights, config: Mapping[str, object]) -> None:
    """Refuse a config.json that sends transformers to other weights.

    Raises:
        StageError: both files are named.
    """
    named = config.get("transformers_weights")
    if named not in (None, found.entry):
        seen = f"config.json names {errors.shown(named)} in transformers_weights, other readers take {found.entry}"
        raise StageError(
            StageReason.MODEL_UNREADABLE, f"{folder}: {seen}; remove that key, or the files that are not the model"
        )


def companions(folder: pathlib.Path) -> tuple[str, ...]:
    """Files that a loader may read for tokenizer, chat and generation, as paths below the folder."""
    found = [path for path in folder.iterdir() if path.suffix in COMPANIONS or path.match(VERSIONED)]
    found += (folder / TEMPLATES).glob("*.jinja")
    return tuple(sorted(path.relative_to(folder).as_posix() for path in found if path.is_file() and not _other(path)))


def licences(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Licences and what belongs to them."""
    return (path for pattern in LICENCES for path in sorted(folder.glob(pattern)) if path.is_file())


def _other(path: pathlib.Path) -> bool:
    told = path.name in _NO_COMPANIONS or path.match("*.index.json") or path.match("*_results.json")
    return told or path.name in _OUR_OWN or path.name.startswith(".")


def _refuse_choice(folder: pathlib.Path, names: frozenset[str], stem: str, named: frozenset[str]) -> None:
    single, index = f"{stem}.safetensors", index_name(stem)
    sets = [[name] for name in (single, index) if name in names]
    sets.append(sorted(_shards(names, stem) - named))
    if stem != ADAPTER:
        sets.append(sorted(names & {ADAPTER_CONFIG, f"{ADAPTER}.safetensors", index_name(ADAPTER)}))
    if stem == ADAPTER:
        sets.append(sorted((names & {f"{MODEL}.safetensors", index_name(MODEL)}) | _shards(names, MODEL)))
    present = [errors.few(one, separator=", ") for one in sets if one]
    if len(present) > 1:
        message = f"{folder}: more than one set of weights: {' beside '.join(present)}"
        hint = "readers would choose differently: remove those that are not the model"
        raise StageError(StageReason.MODEL_UNREADABLE, f"{message}; {hint}")


def _shards(names: frozenset[str], stem: str) -> frozenset[str]:
    pattern = re.compile(rf"{re.escape(stem)}-\d+-of-\d+\.safetensors")
    return frozenset(name for name in names if pattern.fullmatch(name))


def _read_index(index: pathlib.Path) -> dict[str, str]:
    try:
        shards: dict[str, str] = json.loads(guarded_files.read(index, limit=INDEX_LIMIT))["weight_map"]
        strange = sorted({name for name in shards.values() if pathlib.PurePosixPath(name).name != name})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StageError(
            StageReason.MODEL_UNREADABLE, f"{index}: not an index with a weight_map ({type(error).__name__})"
        ) from error
    if strange or not shards:
        seen = f"names files outside its folder: {errors.few(strange, separator=', ')}" if strange else "names no file"
        raise StageError(StageReason.MODEL_UNREADABLE, f"{index}: {seen}")
    return shards


def _nothing(folder: pathlib.Path, names: frozenset[str], expected: str) -> StageError:
    pickles = sorted(name for name in names if name.endswith(_PICKLES))
    hint = (
        f"; {errors.few(pickles, separator=', ')} are pickles, which can run code: convert them to safetensors"
        if pickles
        else ""
    )
    seen = errors.few(sorted(names), separator=", ") if names else "an empty folder" if folder.is_dir() else "no folder"
    return StageError(StageReason.MODEL_UNREADABLE, f"{folder}: expected {expected}, saw {seen}{hint}")
