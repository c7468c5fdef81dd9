"""Whether what a URI names is there; if not, what lies near it, for the message."""

import errno
import pathlib

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process import guarded_files
from modelrefresh_jobs.process.errors import StageError

_LISTED = 10


def require(uri: str, path: pathlib.Path, reason: StageReason, *, root: pathlib.Path) -> pathlib.Path:
    """The path, which the URI names and which lies below the root.

    Raises:
        StageError: with `reason`, when nothing is there; the message lists what is.
    """
    try:
        if path.exists():
            return path
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise StageError(reason, f"{uri:.80}...: {error.strerror}; no file system holds such a name") from error
    raise StageError(reason, f"{uri}: {path} does not exist{_nearby(path, root)}")


def is_folder(reason: StageReason) -> bool:
    """Whether what is read under this reason is always a folder."""
    return reason in (StageReason.MODEL_UNREADABLE, StageReason.RESIDUAL_INCOMPATIBLE)


def _nearby(path: pathlib.Path, root: pathlib.Path) -> str:
    """What lies in the nearest folder that is there, if that is one which may be read."""
    nearest = next((parent for parent in path.parents if parent.is_dir()), pathlib.Path("/"))
    if not guarded_files.inside(nearest, root):
        return ""
    names = sorted(entry.name + "/" * entry.is_dir() for entry in nearest.iterdir())
    shown = ", ".join(names[:_LISTED]) or "nothing"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"; {nearest} holds: {shown}{more}"
