"""The one door to files below a source: what is read is a regular file that lies, links resolved, below its root.

The root is the claim and, in it, the prefix that the profile allows. Loaders open files of a model folder by
themselves, so a source is looked through as a whole first (`require_inside`); what our own code opens is looked at
once more when it is open (`opened`), which no exchange of files in between can deceive. Links that stay inside are
fine, as in a snapshot of the hub. Knows no URI and no format.
"""

import contextlib
import io
import os
import pathlib
import stat
from collections.abc import Iterator
from typing import Final

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process.errors import StageError

_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""A pipe must not hold the stage up, nor a terminal become its own."""
_ROOTS: Final[list[pathlib.Path]] = []
"""Below which files may be opened; empty at a shell, where a person reads their own files."""


@contextlib.contextmanager
def guarding(workspace: pathlib.Path) -> Iterator[None]:
    """Open nothing but what lies below this workspace and the roots that are admitted in the block."""
    _ROOTS[:] = [workspace.resolve()]
    try:
        yield
    finally:
        _ROOTS.clear()


def admit(root: pathlib.Path) -> None:
    """Let files below this folder, or this file, be opened, where anything is guarded."""
    if _ROOTS:
        _ROOTS.append(root.resolve())


def is_guarded() -> bool:
    """Whether files are others' than the reader's of our messages, as in a pod."""
    return bool(_ROOTS)


def inside(path: pathlib.Path, root: pathlib.Path) -> bool:
    """Whether the path, all links resolved, is the root or lies below it; what is a loop of links does not."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):
        return False


def is_reached(path: pathlib.Path, root: pathlib.Path) -> bool:
    """Whether no link lies on the way from the root to the path."""
    try:
        return path.resolve() == root.resolve() / path.relative_to(root)
    except (OSError, RuntimeError, ValueError):
        return False


def require_inside(found: pathlib.Path, *, root: pathlib.Path, reason: StageReason, is_model: bool) -> None:
    """Look through everything at or below a path.

    A link that leads nowhere is nothing; what neither is a file nor a folder may lie beside data, but in a model's
    folder a loader could open it.

    Raises:
        StageError: something leads out of the root, is on another file system, or is no regular file.
    """
    device = root.stat().st_dev
    for entry in _entries(found):
        name = entry.relative_to(found) if entry != found else pathlib.Path(found.name)
        if entry.is_symlink() and not inside(entry, root):
            if os.path.lexists(entry) and entry.exists():
                raise _refused(name, "is a link that leads out of the source; copy the file instead", reason)
            continue
        mode = _mode(entry)
        if stat.S_ISDIR(mode) and entry.stat().st_dev != device:
            raise _refused(name, "is another file system, mounted inside the source; name its own claim", reason)
        if is_model and mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise _refused(name, "is no regular file; remove it", reason)


def opened(path: pathlib.Path, *, reason: StageReason = StageReason.MODEL_UNREADABLE) -> io.FileIO:
    """Open a regular file for reading.

    Raises:
        StageError: it is none, or lies outside of what this attempt may read.
        OSError: as open() does.
    """
    file = io.FileIO(os.open(path, _FLAGS))
    if fault := _fault(file.fileno()):
        file.close()
        raise _refused(pathlib.Path(path.name), fault, reason)
    return file


def read(path: pathlib.Path, *, limit: int, reason: StageReason = StageReason.MODEL_UNREADABLE) -> bytes:
    """The content of a regular file of at most so many bytes.

    Raises:
        StageError: as `opened`, or it is larger.
        OSError: as open() does.
    """
    with opened(path, reason=reason) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise StageError(reason, f"{path}: {size} bytes; expected at most {limit}")
        return file.read(limit + 1)[:limit]


def _fault(handle: int) -> str:
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        return "is no regular file; give a file"
    real = pathlib.Path(f"/proc/self/fd/{handle}").readlink() if _ROOTS else None
    if real and not any(real.is_relative_to(root) for root in _ROOTS):
        return "leads out of the source; copy the file instead"
    return ""


def _entries(found: pathlib.Path) -> Iterator[pathlib.Path]:
    yield found
    for here, folders, names in os.walk(found):
        yield from (pathlib.Path(here, name) for name in (*folders, *names))


def _mode(path: pathlib.Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:  # gone meanwhile, or a link to nothing: whoever wants it will say so
        return 0


def _refused(name: pathlib.Path, seen: str, reason: StageReason) -> StageError:
    return StageError(reason, f"{name} {seen}")
