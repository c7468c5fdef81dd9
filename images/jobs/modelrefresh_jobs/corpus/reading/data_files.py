"""Choice of the files below a path that are data.

Data are `.jsonl`, `.ndjson`, `.json`, `.txt` (each also as `.gz` or `.zst`) and `.parquet`, in
upper or lower case. Names that begin with a dot or an underscore are bookkeeping (`.git`, Spark's
`_temporary`) and are skipped uncounted; texts about the data (README, LICENSE, requirements) and
all other kinds are counted and named. Knows names and kinds of files, nothing of their content.
"""

import errno
import os
import pathlib
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from modelrefresh.contract import printable
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process import errors

KINDS = (".jsonl", ".ndjson", ".json", ".txt", ".parquet")
COMPRESSIONS = (".gz", ".zst")
_NOWHERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
_NAMED = 3
_NAME_SHOWN = 48
_DATA = re.compile(
    r".*(?P<kind>\.(jsonl|ndjson|json|txt)|\.parquet(?!\.))(?P<compression>\.gz|\.zst)?", re.IGNORECASE | re.DOTALL
)
_ABOUT = re.compile(
    r"(readme|licen[sc]e)\b.*|(notice|copying|changelog|authors|contributing|citation)\.txt|requirements([-_.].*)?\.txt"
    r"|(dataset_infos?|state|manifest|package)\.json",
    re.IGNORECASE,
)
"""Texts about the data, and what the `datasets` library and packers leave beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One file of records or text."""

    path: pathlib.Path
    kind: str
    """One of `KINDS`."""
    compression: str
    """One of `COMPRESSIONS`, or empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The files at or below a path."""

    files: tuple[DataFile, ...]
    ignored: tuple[str, ...]
    """Files that are not read and links to folders, which are not followed; paths relative to the folder."""

    def examples(self) -> str | None:
        """The first three ignored names, as one text; None if there are none."""
        names = [printable.line(name)[-_NAME_SHOWN:] for name in self.ignored[:_NAMED]]
        return ", ".join(names) or None


def find(path: pathlib.Path) -> Found:
    """The data files at or below this path, sorted by path.

    Raises:
        StageError: DataUnreadable, when data is no regular file (a broken link, a pipe, a socket), or `path` is a
            single file of a kind that is not read.
    """
    if not path.is_dir():
        return Found(files=(_single(path),), ignored=())
    files, ignored = [], []
    for item in sorted(_below(path)):
        matched = _DATA.fullmatch(item.name)
        if matched is None or _ABOUT.fullmatch(item.name) or _is_folder(item):
            ignored.append(str(item.relative_to(path)))
        else:
            files.append(_data_file(item, matched))
    return Found(files=tuple(files), ignored=tuple(ignored))


def _single(path: pathlib.Path) -> DataFile:
    matched = _DATA.fullmatch(path.name)
    if matched is None:
        kinds = f"{', '.join(KINDS)}, or one of the first four with {' or '.join(COMPRESSIONS)}"
        raise _refused(path, f"a file of another kind; expected {kinds}. Convert or rename it")
    return _data_file(path, matched)


def _below(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    for here, folders, names in os.walk(folder, onerror=_raise):
        place = pathlib.Path(here)
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        yield from (place / name for name in folders if (place / name).is_symlink())
        yield from (place / name for name in names if not name.startswith((".", "_")))


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _is_folder(path: pathlib.Path) -> bool:
    return path.is_symlink() and path.is_dir()


def _data_file(path: pathlib.Path, matched: re.Match[str]) -> DataFile:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if path.is_symlink() and error.errno in _NOWHERE:
            raise _refused(path, "a link to where nothing is. Mend or remove the link") from error
        if isinstance(error, FileNotFoundError):
            raise _refused(path, "gone since its folder was listed; expected data that holds still") from error
        raise
    if not stat.S_ISREG(mode):
        raise _refused(path, "named like data but no regular file. Remove it, or give a file")
    return DataFile(path=path, kind=matched["kind"].lower(), compression=(matched["compression"] or "").lower())


def _refused(path: pathlib.Path, seen: str) -> errors.StageError:
    return errors.StageError(StageReason.DATA_UNREADABLE, f"{path}: {seen}.")
