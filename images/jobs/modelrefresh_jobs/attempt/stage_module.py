"""Which module does which stage, and what each of them offers."""

import importlib
import pathlib
from typing import Protocol, cast

from modelrefresh.contract import stage_request
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.attempt.record import Summary
from modelrefresh_jobs.process.progress import Progress


class StageModule(Protocol):
    """What every stage's module offers."""

    def run(self, request: stage_request.StageRequest, progress: Progress) -> Summary:
        """Do the stage's work."""

    def artifact(self, request: stage_request.StageRequest, summary: Summary) -> pathlib.Path | None:
        """Sealed folder that a finished stage leaves; None where the result is all."""


def module(stage: Stage) -> StageModule:
    """The module of a stage; imported here, because some take seconds."""
    name = "import_" if stage is Stage.IMPORT else stage.value
    return cast("StageModule", importlib.import_module(f"modelrefresh_jobs.stages.{name}"))
