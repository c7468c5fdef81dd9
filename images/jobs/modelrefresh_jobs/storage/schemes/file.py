"""`file:///PATH`: a path of the machine, for people at a shell; no spec may name one."""

import pathlib

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process import guarded_files
from modelrefresh_jobs.storage import existing
from modelrefresh_jobs.storage.run_folders import RunFolders


def find(uri: str, _folders: RunFolders, reason: StageReason) -> pathlib.Path:
    """The path itself.

    Raises:
        StageError: with `reason`, when nothing is there.
    """
    root = pathlib.Path("/")
    found = existing.require(uri, pathlib.Path(uri.removeprefix("file://")), reason, root=root)
    guarded_files.admit(found)  # whoever gives such a URI reads what they name; the API refuses it
    return found
