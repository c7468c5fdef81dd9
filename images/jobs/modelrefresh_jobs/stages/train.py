"""The train stage: continual pretraining on the packed blocks.

One process trains right here; several, or a GPU under ZeRO, are started by torchrun. Either
way SIGTERM and Ctrl-C mean: save a checkpoint, then leave; before there is anything to save,
leave at once. Knows nothing of models and data.
"""

import pathlib

from modelrefresh.contract import result, stage_request
from modelrefresh_jobs.process import signals
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import run_folders
from modelrefresh_jobs.training import launcher


def artifact(request: stage_request.StageRequest, _summary: result.TrainSummary) -> pathlib.Path | None:
    """The sealed trained model or adapter."""
    return run_folders.of(request).trained


def run(request: stage_request.StageRequest, progress: Progress) -> result.TrainSummary:
    """Train; see `trainer.train` for what may go wrong."""
    wanted = request.train
    assert wanted is not None  # noqa: S101 -- env.parse() guarantees the section of the stage
    if launcher.needed(wanted):
        with signals.deferred():
            return launcher.train(request, progress)
    # The process that only starts others needs neither torch nor the seconds to import it.
    from modelrefresh_jobs.training import trainer

    return trainer.train(request, progress, stop=signals.requested)
