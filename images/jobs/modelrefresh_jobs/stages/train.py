"""Stage `train`: continual pretraining on the packed blocks.

One process trains right here; several, or a GPU under ZeRO, are started by torchrun. Either
way SIGTERM and Ctrl-C mean: save a checkpoint, then leave; before there is anything to save,
leave at once. Knows nothing of models and data.
"""

import pathlib

from modelrefresh.contract.stages.train import TrainInput, TrainSummary
from modelrefresh_jobs.process import signals
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage.run_folders import RunFolders
from modelrefresh_jobs.training import launcher


def artifact(folders: RunFolders, _summary: TrainSummary) -> pathlib.Path:
    """The sealed trained model or adapter."""
    return folders.trained


def run(wanted: TrainInput, folders: RunFolders, progress: Progress) -> TrainSummary:
    """Train; see `trainer.train` for what may go wrong."""
    if launcher.needed(wanted):
        with signals.deferred():
            return launcher.train(wanted, folders, progress)
    # The process that only starts others needs neither torch nor the seconds to import it.
    from modelrefresh_jobs.training import trainer

    return trainer.train(wanted, folders, progress, stop=signals.requested)
