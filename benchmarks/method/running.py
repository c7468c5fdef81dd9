"""The stages of one run in this process, and the CPU time of each, children's included.

Asks them as a pod does, by their requests, without what surrounds a pod: no exit code, no termination message.
"""

import pathlib
import resource
import shutil
import time
from dataclasses import dataclass, field
from typing import Any

from benchmarks.method.records import Cost
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.attempt import stage_module
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import run_folders
from modelrefresh_jobs.storage.run_folders import RunFolders

_OWNER = "method"


@dataclass(slots=True, kw_only=True)
class Runner:
    """One run in one workspace."""

    root: pathlib.Path
    run: str
    costs: list[Cost] = field(default_factory=list)
    """Of the stages so far; tokens and arithmetic are the asker's to add."""

    @property
    def folders(self) -> RunFolders:
        """Where the run's stages write."""
        return run_folders.of(self._request(Stage.TRAIN, None))

    def ask(self, stage: Stage, section: object) -> Any:  # noqa: ANN401 -- differs by stage
        """Run a stage; gives its summary.

        Raises:
            StageError: what the stage has against its input.
        """
        began = _seconds()
        summary = stage_module.run(self._request(stage, section), Progress(stage=stage.value))
        self.costs.append(Cost(step=stage.value, seconds=round(_seconds() - began, 3)))
        return summary

    def clear(self) -> None:
        """Remove what the run has left; what it published stays."""
        shutil.rmtree(self.folders.workspace.runs(_OWNER) / self.run, ignore_errors=True)

    def _request(self, stage: Stage, section: object) -> StageRequest:
        return StageRequest(stage=stage, owner=_OWNER, run=self.run, workspace=str(self.root), section=section)


def _seconds() -> float:
    """CPU time of this process and of the children that have ended, as those of a merge have."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
