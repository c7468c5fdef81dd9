"""Whether a stage by hand can write where a person tells it to: asked before any work, by the file system itself.

What is written must not lie in a folder that is read: data would grow by what was made of them, a model by another.
Pods have folders of their own and are not asked. Knows no stage's work.
"""

import contextlib
import errno
import os
import pathlib
import tempfile
from collections.abc import Iterator

from modelrefresh.contract import codec
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage.run_folders import RunFolders

_SPARE = 48
"""Bytes that a draft's name is longer than the folder's."""
_DEEPER = 512
"""Bytes of paths inside of the folder."""
_FILE = "file://"
_SHOWN = 80


def require(folders: RunFolders, request: StageRequest) -> None:
    """Refuse a place that cannot be written, or that lies in what is read.

    Raises:
        StageError: InputInvalid; the message names the flag.
    """
    flag, given = ("--out", folders.out) if folders.out else ("--workspace", folders.workspace.root)
    target = folders.out or folders.scratch(request.stage)
    _require_short(flag, target)
    _require_apart(flag, given, target, [*_places(codec.to_document(request.section)), *_unsealed(folders)])
    _require_writable(flag, given)


def _require_short(flag: str, target: pathlib.Path) -> None:
    near = _nearest(target)
    most = os.pathconf(near, "PC_NAME_MAX") - _SPARE
    if long := next((part for part in target.parts if len(os.fsencode(part)) > most), None):
        seen = f"{long:.{_SHOWN}}... has {len(os.fsencode(long))} bytes"
        raise _refused(flag, f"{seen}; expected a name of at most {most}")
    deepest = os.pathconf(near, "PC_PATH_MAX") - _DEEPER
    if len(os.fsencode(target)) > deepest:
        raise _refused(flag, f"a path of {len(os.fsencode(target))} bytes; expected one of at most {deepest}")


def _require_apart(flag: str, given: pathlib.Path, target: pathlib.Path, places: list[str]) -> None:
    real = pathlib.Path(os.path.realpath(target))
    for place in places:
        if _is_folder(pathlib.Path(place)) and real.is_relative_to(os.path.realpath(place)):
            raise _refused(flag, f"{given} lies in {place}, which is read; name a folder outside of it")


def _require_writable(flag: str, given: pathlib.Path) -> None:
    near = _nearest(given)
    try:
        # The mode says little: to root all looks writable, and /proc takes nothing from anybody.
        pathlib.Path(tempfile.mkdtemp(dir=near)).rmdir()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        message = f"no folder can be made in {near} ({error.strerror}); name another place"
        raise _refused(flag, message) from error


def _nearest(path: pathlib.Path) -> pathlib.Path:
    """The folder itself, or the nearest above it that is there."""
    return next(one for one in (path, *path.parents) if _is_folder(one))


def _is_folder(path: pathlib.Path) -> bool:
    with contextlib.suppress(OSError):  # of a name that no disk holds
        return path.is_dir()
    return False


def _places(document: object) -> Iterator[str]:
    """Paths of all that a request names as file:// URIs, also in place of a digest."""
    if isinstance(document, dict | list):
        for item in document.values() if isinstance(document, dict) else document:
            yield from _places(item)
    elif isinstance(document, str) and document.startswith(_FILE):
        yield document.removeprefix(_FILE)


def _unsealed(folders: RunFolders) -> list[str]:
    return [str(folders.unsealed)] if folders.unsealed else []


def _refused(flag: str, seen: str) -> StageError:
    return StageError(StageReason.INPUT_INVALID, f"{flag}: {seen}")
