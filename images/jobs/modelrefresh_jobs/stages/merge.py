"""Stage `merge`: add the residual to the trained weights and seal the candidate.

Finds the parts (start, trained checkpoint or adapter, residuals, what is averaged with); `weights/candidate.py` refuses
any that do not belong together, and writes `versions/<digest>/`. With strategy Direct the trained instruct model is
itself the candidate.
"""

import pathlib

from modelrefresh.contract import artifacts
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.merge import MergeInput, MergeSummary
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import sealed
from modelrefresh_jobs.storage.run_folders import RunFolders
from modelrefresh_jobs.weights import candidate, merge_sources


def run(wanted: MergeInput, folders: RunFolders, progress: Progress) -> MergeSummary:
    """Merge what this run has trained."""
    found = merge_sources.of(wanted, folders, trained=folders.trained, deep=True)
    parents = {"start": wanted.start, "residual": wanted.residual, "trained": _trained(folders)}
    parents |= {"previous": wanted.previous} if wanted.previous else {}
    with sealed.draft(
        folders.versions, kind=candidate.KIND, label=f"{folders.label}.merge", attempt=folders.attempt, parents=parents
    ) as made:
        return candidate.store(found, made, progress=progress, target=folders.out)


def artifact(folders: RunFolders, summary: MergeSummary) -> pathlib.Path:
    """The candidate."""
    return folders.out or folders.workspace.version(summary.digest)


def _trained(folders: RunFolders) -> str:
    """Digest of what this run has trained, every byte proven; the path of what a person names, if it is not sealed."""
    if folders.unsealed and not (folders.unsealed / artifacts.MANIFEST).exists():
        return str(folders.unsealed)
    try:
        return sealed.verify(folders.trained, deep=True).digest
    except sealed.BrokenSealError as error:
        raise StageError(
            StageReason.MODEL_UNREADABLE, f"trained weights: {error}; run the train stage again"
        ) from error
