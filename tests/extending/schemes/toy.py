"""`toy://NAME`: a toy scheme in one file; a folder of the workspace's cache."""

import pathlib

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.storage import existing
from modelrefresh_jobs.storage.run_folders import RunFolders


def find(uri: str, folders: RunFolders, reason: StageReason) -> pathlib.Path:
    """The folder of that name."""
    root = folders.workspace.root / "toys"
    return existing.require(uri, root / uri.removeprefix("toy://"), reason, root=root)
