"""File that records how far a training run has come, and what it is made from.

The position is a small JSON file that rank 0 keeps current: the process that started
torchrun reads it for its progress, the next attempt to say how many steps were lost. What a
run is made from tells its files from those of another. Never imports torch.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass

from modelrefresh.contract import codec
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import LearningRateSchedule, Method
from modelrefresh_jobs.process.progress import Progress

FIGURES = ("loss", "learning_rate", "tokens_per_second")
"""Numbers of a step: loss and learning rate as the Trainer logs them, tokens/s of the attempt."""

WITHOUT_EFFECT = frozenset({"checkpoint_seconds", "gpu_memory", "sequence_length", "stall_seconds"})
"""Settings that change no weight, or that follow from the blocks."""
UNSAID = {
    "method": Method.LORA,
    "epochs": 1.0,
    "batch_size": 8,
    "gradient_accumulation": 1,
    "warmup_ratio": 0.05,
    "learning_rate_schedule": LearningRateSchedule.LINEAR,
    "lora_rank": 64,
    "lora_alpha": 128,
    "lora_embeddings": False,
    "zero_stage": 0,
    "nodes": 1,
    "processes_per_node": 1,
    "seed": 0,
}
"""Values that count as absent, for ever, whatever the defaults become: another text would lose all checkpoints.

A setting that a later release adds stands here with the value that trains as before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a training has come."""

    done: int
    """Optimizer steps."""
    total: int
    """Optimizer steps of the whole run."""
    figures: Mapping[str, float]
    """By name, those of `FIGURES` that are recorded."""
    made_from: Mapping[str, str]
    """As `made_from` gives it; empty from older releases."""


def made_from(wanted: TrainInput, *, blocks: str) -> dict[str, str]:
    """What a run's checkpoints depend on: "blocks", the digest of its blocks, and "settings", that of its settings.

    Settings at the values of `UNSAID` count as absent, so that one more in a later release changes nothing.
    """
    settings = codec.to_document(wanted).items()
    said = {name: value for name, value in settings if name not in WITHOUT_EFFECT and value != UNSAID.get(name)}
    return {"blocks": blocks, "settings": hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()}


def fits(found: Mapping[str, str], ours: Mapping[str, str]) -> bool:
    """Whether all entries of `ours` are the same in `found`; one that an older release lacks counts as the same."""
    return all(found.get(name, value) == value for name, value in ours.items())


def write(path: pathlib.Path, progress: Progress, *, parents: Mapping[str, str]) -> None:
    """Write the position atomically."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps({**progress.document(), "made_from": dict(parents)}))
    partial.replace(path)


def read(path: pathlib.Path) -> Position | None:
    """The last recorded position; None without a readable one, since no weight depends on it."""
    try:
        found = json.loads(path.read_text())
        return Position(
            done=int(found["done"]),
            total=int(found["total"]),
            figures={name: float(found[name]) for name in FIGURES if name in found},
            made_from=dict(found.get("made_from", {})),
        )
    except (OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        return None
