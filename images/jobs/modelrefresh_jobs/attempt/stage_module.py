"""From a request to the module of its stage in `stages/`, found by the stage's name."""

import importlib
import pathlib
from typing import Any, Protocol, cast

from modelrefresh.contract import sections
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs import stages
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import run_folders
from modelrefresh_jobs.storage.run_folders import RunFolders


class StageModule(Protocol):
    """What every stage's module offers; `wanted` and the summary are the stage's records in `contract/stages/`."""

    def run(self, wanted: Any, folders: RunFolders, progress: Progress) -> Any:  # noqa: ANN401 -- differs by stage
        """Do the stage's work; gives its summary."""

    def artifact(self, folders: RunFolders, summary: Any) -> pathlib.Path | None:  # noqa: ANN401 -- differs by stage
        """Sealed folder that a finished stage leaves; None where the result is all."""


def run(request: StageRequest, progress: Progress, *, folders: RunFolders | None = None) -> Any:  # noqa: ANN401 -- differs by stage
    """Do what is requested, by default in the run's own folders; gives the stage's summary.

    Raises:
        StageError: whatever the stage has against its input.
    """
    return _module(request.stage).run(request.section, folders or run_folders.of(request), progress)


def artifact(request: StageRequest, summary: object, *, folders: RunFolders | None = None) -> pathlib.Path | None:
    """Sealed folder that a finished stage leaves; None where the result is all."""
    return _module(request.stage).artifact(folders or run_folders.of(request), summary)


def _module(stage: Stage) -> StageModule:
    # Imported here, because some take seconds.
    return cast("StageModule", importlib.import_module(f"{stages.__name__}.{sections.module_name(stage)}"))
