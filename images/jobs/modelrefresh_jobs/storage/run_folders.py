"""Where an attempt reads and writes: every path of a run's folders, and those of residuals and versions.

The workspace's own layout is `contract/artifacts.py`; what lies inside a stage's scratch is said here alone.
"""

import pathlib
from dataclasses import dataclass

from modelrefresh.contract import artifacts, stage_request
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh.contract.vocabulary import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolders:
    """Paths of one attempt of a run."""

    workspace: artifacts.Workspace
    owner: str
    run: str
    attempt: int = 1
    sources: pathlib.Path = pathlib.Path(stage_request.SOURCES)
    """Parent of the mounted claims."""
    allowed: tuple[str, ...] = ()
    """Prefixes of URIs below which everything that is read must lie; none means all of a claim."""
    out: pathlib.Path | None = None
    """By hand: the folder that a stage publishes, instead of one under its digest."""
    unsealed: pathlib.Path | None = None
    """By hand: what train wrote, wherever it lies and whether sealed or not."""

    @property
    def label(self) -> str:
        """What names a draft of this attempt beside those of others."""
        return self.out.name if self.out else f"{self.owner}.{self.run}"

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
        return self.unsealed or self.scratch(Stage.TRAIN) / "model"

    @property
    def checkpoints(self) -> pathlib.Path:
        """Parent of the checkpoints that train goes on from."""
        return self.scratch(Stage.TRAIN) / "checkpoints"

    @property
    def position(self) -> pathlib.Path:
        """How far any attempt of train has come."""
        return self.scratch(Stage.TRAIN) / "progress.json"

    @property
    def activations(self) -> pathlib.Path:
        """What attempts of train have found out about the room for activations."""
        return self.scratch(Stage.TRAIN) / "activations"

    @property
    def records(self) -> pathlib.Path:
        """Sealed: questions, replies and figures of each item, by evaluate."""
        return self.scratch(Stage.EVALUATE) / "records"

    @property
    def residuals(self) -> pathlib.Path:
        """Parent of the stored residuals."""
        return self.out.parent if self.out else self.workspace.residual("any").parent

    @property
    def versions(self) -> pathlib.Path:
        """Parent of the versions."""
        return self.out.parent if self.out else self.workspace.version("any").parent

    def read_by(self, stage: Stage) -> pathlib.Path | None:
        """What a stage reads of its own run under a fixed name; all else that it reads is named by its content."""
        return {Stage.TRAIN: self.blocks, Stage.SEARCH: self.trained, Stage.MERGE: self.trained}.get(stage)


def of(request: StageRequest) -> RunFolders:
    """The folders of the attempt that a request asks for."""
    return RunFolders(
        workspace=artifacts.Workspace(root=pathlib.Path(request.workspace)),
        owner=request.owner,
        run=request.run,
        attempt=request.attempt,
        sources=pathlib.Path(request.sources),
        allowed=request.allowed,
    )
