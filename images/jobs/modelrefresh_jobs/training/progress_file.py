"""How far a training run has come, and what it is made from.

The position is a small JSON file that rank 0 keeps current: the process that started
torchrun reads it for its progress, the next attempt to say how many steps were lost. What a
run is made from tells its traces from those of another. Light on purpose: no torch here.
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
"""Gauges that a step reports."""

SHAPELESS = frozenset({"checkpoint_seconds", "sequence_length"})
"""Settings that change no weight, or that the blocks tell."""
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
    """Steps."""
    total: int
    figures: Mapping[str, float]
    made_from: Mapping[str, str]


def made_from(wanted: TrainInput, *, blocks: str) -> dict[str, str]:
    """What a run's checkpoints depend on: the digest of its blocks and that of its settings.

    Settings at the values of `UNSAID` count as absent, so that one more in a later release changes nothing.
    """
    settings = codec.to_document(wanted).items()
    said = {name: value for name, value in settings if name not in SHAPELESS and value != UNSAID.get(name)}
    return {"blocks": blocks, "settings": hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()}


def fits(found: Mapping[str, str], ours: Mapping[str, str]) -> bool:
    """Whether what is told there is ours; what an older release did not tell is believed."""
    return all(found.get(name, value) == value for name, value in ours.items())


def write(path: pathlib.Path, progress: Progress, *, parents: Mapping[str, str]) -> None:
    """Write the position, whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps({**progress.document(), "made_from": dict(parents)}))
    partial.replace(path)


def read(path: pathlib.Path) -> Position | None:
    """The last position on record; None without a readable one, since no weight depends on it."""
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
