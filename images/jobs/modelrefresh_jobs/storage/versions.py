"""From the digest of a version to its folder, proven to be whole."""

import pathlib

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import sealed, sources
from modelrefresh_jobs.storage.run_folders import RunFolders


def find(name: str, folders: RunFolders, *, deep: bool = False) -> pathlib.Path:
    """The folder of a version that is to answer, with `deep` every byte proven; by hand any model's folder, as a URI.

    Raises:
        StageError: ModelUnreadable, when it is missing or incomplete.
    """
    below = folders.workspace.version
    folder = sources.stored(name, folders, below=below, reason=StageReason.MODEL_UNREADABLE)
    if folder != below(name):
        return folder
    try:
        sealed.verify(folder, deep=deep)
    except sealed.BrokenSealError as error:
        raise StageError(StageReason.MODEL_UNREADABLE, str(error)) from error
    return folder
