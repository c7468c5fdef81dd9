"""Stage `sweep`: remove scratch and versions that retention no longer keeps.

Removes exactly what it is told and nothing it finds by itself. A folder's manifest goes
first, so that a killed sweep leaves no half version that still looks whole.
"""

import logging
import pathlib
import re
import shutil

from modelrefresh.contract import artifacts
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.sweep import SweepInput, SweepSummary
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage.run_folders import RunFolders

LOG = logging.getLogger("modelrefresh.jobs")
_PLAIN = re.compile(r"[0-9a-z]{1,80}")


def run(wanted: SweepInput, folders: RunFolders, progress: Progress) -> SweepSummary:
    """Remove the named folders.

    Raises:
        StageError: InputInvalid for a name that is no run id or digest; then nothing is removed.
    """
    strange = [name for name in (*wanted.runs, *wanted.versions) if not _PLAIN.fullmatch(name)]
    if strange:
        raise StageError(StageReason.INPUT_INVALID, f"sweep: {strange} are no run ids or digests; nothing was removed")
    workspace = folders.workspace
    named = [workspace.runs(folders.owner) / name for name in wanted.runs]
    named += [workspace.version(name) for name in wanted.versions]
    there = [folder for folder in named if folder.is_dir() and _is_its_own(folder, workspace.root)]
    freed = 0
    for number, folder in enumerate(there, start=1):
        freed += _remove(folder)
        progress.report(number, len(there), unit="folders", bytes=float(freed))
    return SweepSummary(folders=len(there), bytes=freed)


def artifact(_folders: RunFolders, _summary: SweepSummary) -> None:
    """A sweep leaves nothing."""


def _is_its_own(folder: pathlib.Path, root: pathlib.Path) -> bool:
    """Whether no link leads there: `runs/OWNER` that is a link to `versions` would have a version removed as a run."""
    if folder.resolve() == root.resolve() / folder.relative_to(root):
        return True
    LOG.warning("sweep: %s is reached through a link and is left alone", folder)
    return False


def _remove(folder: pathlib.Path) -> int:
    """Remove one folder; gives the bytes of its files."""
    size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    (folder / artifacts.MANIFEST).unlink(missing_ok=True)
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder)
    LOG.info("sweep: removed %s, %d bytes", folder, size)
    return size
