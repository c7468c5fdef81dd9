"""Where a training run lives on the workspace, and how far it has come.

The position is a small JSON file that rank 0 keeps current: the process that started
torchrun reads it for its progress, the next attempt to say how many steps were lost. Light
on purpose: nothing here imports torch.
"""

import json
import os
import pathlib
from dataclasses import dataclass
from typing import Any

from modelrefresh.contract import artifacts, env
from modelrefresh_jobs.progress import Progress

FIGURES = ("loss", "learning_rate", "tokens_per_second")
"""Gauges that a step reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Folders of one training run."""

    folder: pathlib.Path

    @property
    def model(self) -> pathlib.Path:
        """The sealed outcome."""
        return self.folder / "model"

    @property
    def checkpoints(self) -> pathlib.Path:
        """Parent of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def position(self) -> pathlib.Path:
        """How far any attempt has come."""
        return self.folder / "progress.json"


def layout(request: env.StageInput) -> Layout:
    """Where this run's training lives."""
    workspace = artifacts.Workspace(root=pathlib.Path(request.workspace))
    return Layout(folder=workspace.stage(request.owner, request.run, env.Stage.TRAIN))


def write(path: pathlib.Path, progress: Progress) -> None:
    """Write the position, whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(progress.document()))
    partial.replace(path)


def read(path: pathlib.Path) -> dict[str, Any]:
    """The last position on record; empty without a readable one."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
