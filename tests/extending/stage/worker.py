"""Stage `toy`: counts."""

import pathlib

from modelrefresh.contract.stages.toy import ToyInput, ToySummary  # type: ignore[import-not-found]

from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage.run_folders import RunFolders


def run(wanted: ToyInput, _folders: RunFolders, progress: Progress) -> ToySummary:
    """Count."""
    progress.report(wanted.most, wanted.most, unit="numbers")
    return ToySummary(counted=wanted.most)


def artifact(_folders: RunFolders, _summary: ToySummary) -> pathlib.Path | None:
    """None: the count is all."""
    return None
