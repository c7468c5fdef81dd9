"""Where a run's stages leave what others read: every path of a run's folders, and those of residuals and versions.

The workspace's own layout is `contract/artifacts.py`; what lies inside a stage's scratch is said here alone.
"""

import pathlib
from dataclasses import dataclass

from modelrefresh.contract import artifacts
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh.contract.vocabulary import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolders:
    """Paths of one run on its workspace."""

    workspace: artifacts.Workspace
    owner: str
    run: str

    def scratch(self, stage: Stage) -> pathlib.Path:
        """What a stage may write in, and no other does."""
        return self.workspace.stage(self.owner, self.run, stage)

    @property
    def blocks(self) -> pathlib.Path:
        """Sealed: packed tokens, by prepare."""
        return self.scratch(Stage.PREPARE) / "blocks"

    @property
    def trained(self) -> pathlib.Path:
        """Sealed: a whole checkpoint or a PEFT adapter, by train."""
        return self.scratch(Stage.TRAIN) / "model"

    @property
    def checkpoints(self) -> pathlib.Path:
        """Parent of the checkpoints that train goes on from."""
        return self.scratch(Stage.TRAIN) / "checkpoints"

    @property
    def position(self) -> pathlib.Path:
        """How far any attempt of train has come."""
        return self.scratch(Stage.TRAIN) / "progress.json"

    @property
    def records(self) -> pathlib.Path:
        """Sealed: questions, replies and figures of each item, by evaluate."""
        return self.scratch(Stage.EVALUATE) / "records"

    @property
    def residuals(self) -> pathlib.Path:
        """Parent of the stored residuals."""
        return self.workspace.residual("any").parent

    @property
    def versions(self) -> pathlib.Path:
        """Parent of the versions."""
        return self.workspace.version("any").parent


def of(request: StageRequest) -> RunFolders:
    """The folders of the run that a request belongs to."""
    workspace = artifacts.Workspace(root=pathlib.Path(request.workspace))
    return RunFolders(workspace=workspace, owner=request.owner, run=request.run)
