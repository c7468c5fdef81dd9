"""One merge after another in a workspace of a test's own, from tiny models."""

import dataclasses
import pathlib
import shutil
from typing import Any

import safetensors.torch
import torch

from modelrefresh.contract.stages.extract import ExtractInput
from modelrefresh.contract.stages.merge import MergeInput
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.attempt import stage_module
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import sealed
from modelrefresh_jobs.weights import stored_residual
from tests.jobs import builders


@dataclasses.dataclass(frozen=True, slots=True)
class Merges:
    """A workspace."""

    root: pathlib.Path

    def extract(self, base: pathlib.Path, instruct: pathlib.Path) -> str:
        """Digest of a pair's residual."""
        wanted = ExtractInput(base=builders.uri(base), instruct=builders.uri(instruct))
        request = builders.request(self.root, Stage.EXTRACT, section=wanted)
        return str(stage_module.run(request, builders.quiet(Stage.EXTRACT)).digest)

    def train(self, trained: pathlib.Path) -> None:
        """Let the run have trained this model."""
        stage = builders.workspace_of(self.root).stage("chat", "r1", Stage.TRAIN)
        with sealed.draft(stage, kind="trained", label="train") as made:
            for path in trained.iterdir():
                (made.path / path.name).write_bytes(path.read_bytes())
            sealed.seal(made, target=stage / "model")

    def merge(
        self,
        start: pathlib.Path,
        residual: str,
        *,
        progress: Progress | None = None,
        **also: Any,  # noqa: ANN401 -- any field of the request
    ) -> pathlib.Path:
        """The version that a merge of what was trained writes."""
        wanted = MergeInput(start=builders.uri(start), residual=residual, **also)
        request = builders.request(self.root, Stage.MERGE, section=wanted)
        summary = stage_module.run(request, progress or builders.quiet(Stage.MERGE))
        return self.version(summary.digest)

    def resealed(self, residual: str, **changes: torch.Tensor) -> str:
        """Digest of the same residual with some tensors replaced, sealed as if it had been cut so."""
        folder = builders.workspace_of(self.root).residual(residual)
        with sealed.draft(folder.parent, kind=stored_residual.KIND, label="other") as made:
            shutil.copytree(folder, made.path, dirs_exist_ok=True)
            (made.path / "manifest.json").unlink()
            builders.edit_weights(made.path / "model.safetensors", **changes)
            return sealed.seal(made).digest

    def version(self, digest: str) -> pathlib.Path:
        """Its folder."""
        return builders.workspace_of(self.root).version(digest)


def exact(folder: pathlib.Path) -> dict[str, torch.Tensor]:
    """All weights in float64."""
    return {name: value.double() for name, value in safetensors.torch.load_file(folder / "model.safetensors").items()}
