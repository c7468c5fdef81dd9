"""One training run in its own workspace, for tests of the train stage: a tiny base, blocks, attempts one by one."""

import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from modelrefresh.contract.stages.train import TrainInput, TrainSummary
from modelrefresh.contract.vocabulary import Method, Stage
from modelrefresh_jobs.corpus import packing
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import run_folders, sealed
from modelrefresh_jobs.training import trainer
from tests.jobs import builders, corpora


class Run:
    """One training run in its own workspace."""

    def __init__(self, root: pathlib.Path, *, arch: str = builders.LLAMA, **changes: Any) -> None:  # noqa: ANN401
        self.base = builders.tiny_model(root / "base", arch=arch)
        corpora.prepared(root, self.base)
        settings = {
            "method": Method.FULL,
            "learning_rate": 5e-3,
            "batch_size": 4,
            "epochs": 0.5,
            "lora_rank": 4,
        }
        wanted = TrainInput(start=builders.uri(self.base), sequence_length=32, **(settings | changes))
        self.request = builders.request(root, Stage.TRAIN, section=wanted)
        self.layout = run_folders.of(self.request)
        self.progress = builders.quiet(Stage.TRAIN)

    def train(self, *, stop: Callable[[], bool] = lambda: False) -> TrainSummary:
        """One attempt."""
        return trainer.train(self.request.section, run_folders.of(self.request), self.progress, stop=stop)

    def train_until(self, step: int) -> StageError:
        """One attempt that is asked to leave at this step."""
        with pytest.raises(StageError) as caught:
            self.train(stop=lambda: self.progress.done + 1 >= step)
        return caught.value

    def pack(self, *documents: tuple[int, ...]) -> None:
        """Replace the blocks by these documents, without the care that the prepare stage takes."""
        target = run_folders.of(self.request).blocks
        shutil.rmtree(target)
        with sealed.draft(target.parent, kind="blocks", label="blocks") as made:
            writer = packing.BlockWriter(made.path / "raw", sequence_length=32, padding_token=0)
            for document in documents:
                writer.add(document)
            for name, part in zip((packing.TOKENS, packing.MARKS), writer.close(), strict=True):
                np.save(made.path / name, np.asarray(part))
            shutil.rmtree(made.path / "raw")
            sealed.seal(made, target=target)

    def checkpoint(self, step: int) -> dict[str, torch.Tensor]:
        """The weights of a checkpoint."""
        return load_file(next((self.layout.checkpoints / f"checkpoint-{step}").glob("*model.safetensors")))

    def weights(self) -> dict[str, torch.Tensor]:
        """What came out."""
        file = next(self.layout.trained.glob("*model.safetensors"))
        return load_file(file)


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of weights are equal, bit for bit."""
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
