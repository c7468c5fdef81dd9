"""Folders that exist completely or not at all.

A draft is a hidden sibling; sealing hashes and flushes every file, writes `manifest.json` as
the last file and renames the folder to its final name in one step. The digest is the content's:
sha256 over the sorted (name, sha256) list, so equal content has one name however often it is
written. Knows no model, residual or stage.
"""

import contextlib
import fcntl
import glob
import hashlib
import io
import json
import os
import pathlib
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from modelrefresh.contract import artifacts, codec
from modelrefresh_jobs.process import cores, errors, guarded_files, parallel

_MANIFEST_LIMIT = 64 << 20
START = "start_fingerprint"
"""Parent of trained weights: the model that training began at, by content."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_OUTSIDE_DIGEST = frozenset({artifacts.PROVENANCE, artifacts.MANIFEST})


class BrokenSealError(Exception):
    """A sealed folder is missing, incomplete or damaged; the message lists every fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFile:
    """One file of a sealed folder."""

    name: str
    """Path below the folder, with slashes."""
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a sealed folder holds; written last."""

    kind: str
    digest: str
    files: tuple[SealedFile, ...]
    parents: Mapping[str, str] = field(default_factory=dict)
    """What it was made from: role to digest, fingerprint or URI."""


@dataclass(slots=True, kw_only=True)
class Draft:
    """A folder being written; `path` is where the files go."""

    path: pathlib.Path
    kind: str
    parents: Mapping[str, str]
    known: dict[str, str] = field(default_factory=dict)
    """sha256 by name of files that were hashed while they were written."""


@contextlib.contextmanager
def draft(
    parent: pathlib.Path, *, kind: str, label: str, attempt: int = 1, parents: Mapping[str, str] | None = None
) -> Iterator[Draft]:
    """Open a draft under `parent`; what is not sealed by the end of the block is removed.

    Leftovers with the same label are removed first: those of earlier attempts, whose pods are gone,
    and of this one, if the process that wrote them has died, as by hand, where all are the first.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for left in sorted(parent.glob(f".{glob.escape(label)}.*.partial")):
        number = left.name.removeprefix(f".{label}.").split(".")[0]
        if number.isdecimal() and (int(number) < attempt or (int(number) == attempt and _is_abandoned(left))):
            shutil.rmtree(left, ignore_errors=True)
    path = parent / f".{label}.{attempt}.{secrets.token_hex(6)}.partial"
    path.mkdir()
    with _held(path):
        try:
            yield Draft(path=path, kind=kind, parents=parents or {})
        finally:
            shutil.rmtree(path, ignore_errors=True)


def seal(made: Draft, *, target: pathlib.Path | None = None) -> Manifest:
    """Publish the draft as `target`, or under its digest beside the draft; an equal folder there is success.

    A draft that is its own target is sealed in its place, by one thread.
    """
    files = tuple(_seal_file(made, path) for path in _files(made.path))
    manifest = Manifest(kind=made.kind, digest=digest(files), files=files, parents=made.parents)
    final = target or made.path.parent / manifest.digest
    text = json.dumps(codec.to_document(manifest), indent=1, sort_keys=True)
    _write_flushed(made.path / artifacts.MANIFEST, text)
    for folder in (*sorted(path for path in made.path.rglob("*") if path.is_dir()), made.path):
        _flush(folder)
    if final != made.path:
        _rename(made.path, final, content=manifest.digest)
    _flush(final.parent)
    return manifest


def digest(files: tuple[SealedFile, ...]) -> str:
    """The content's name: 64 hexadecimal characters."""
    lines = sorted(f"{file.name} {file.sha256}\n" for file in files if file.name not in _OUTSIDE_DIGEST)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def read(folder: pathlib.Path) -> Manifest:
    """The manifest of a sealed folder.

    Raises:
        BrokenSealError: no manifest, a damaged one, or it does not fit its own digest.
    """
    path = folder / artifacts.MANIFEST
    try:
        manifest = codec.from_document(Manifest, json.loads(guarded_files.read(path, limit=_MANIFEST_LIMIT)))
    except (FileNotFoundError, NotADirectoryError):
        raise BrokenSealError(f"{folder}: no {artifacts.MANIFEST}, so nothing was finished here") from None
    except (ValueError, RecursionError) as error:
        raise BrokenSealError(f"{path}: damaged: {error}") from error
    if digest(manifest.files) != manifest.digest:
        raise BrokenSealError(f"{path}: its file list does not give the digest that it says")
    if _DIGEST.fullmatch(folder.name) and folder.name != manifest.digest:
        raise BrokenSealError(f"{folder}: holds {manifest.digest}; whoever looks for a digest must find that content")
    if any(not _is_below(file.name) for file in manifest.files):
        raise BrokenSealError(f"{path}: names files outside of its folder")
    return manifest


def verify(folder: pathlib.Path, *, deep: bool, below: tuple[str, ...] = ("",)) -> Manifest:
    """Check names and sizes; with `deep` every byte, and that nothing was added, of names that begin so.

    Raises:
        BrokenSealError: something is missing, cut short, changed or surplus; the first faults are named.
    """
    manifest = read(folder)
    faults, whole = [], []
    for file in manifest.files:
        path = folder / file.name
        if not path.is_file():
            faults.append(f"{file.name} is missing")
        elif path.resolve() != folder.resolve() / file.name:
            faults.append(f"{file.name} is a link, and was a file")
        elif path.stat().st_size != file.size:
            faults.append(f"{file.name} has {path.stat().st_size} bytes, sealed with {file.size}")
        elif deep and file.name.startswith(below):
            whole.append(file)
    if deep:
        faults += [f"{name} has changed since it was sealed" for name in _changed(folder, whole)]
        # Not a fault for daily use: a server that leaves a lock file must not make its own model vanish.
        listed = {file.name for file in manifest.files} | {artifacts.MANIFEST}
        added = [name for name in _names(folder) if name.startswith(below) and name not in listed]
        faults += ["the folder is a link"] if folder.is_symlink() else []
        faults += [f"{name} is not in the manifest" for name in added]
    if faults:
        said = errors.few(faults)
        raise BrokenSealError(f"{folder}: {said}; remove the folder and run the stage again")
    return manifest


def is_sealed(folder: pathlib.Path) -> bool:
    """Whether the folder exists in the sense of the contract: manifest, names and sizes fit."""
    try:
        verify(folder, deep=False)
    except BrokenSealError:
        return False
    return True


def sha256(path: pathlib.Path) -> str:
    """Content hash of one file."""
    with io.BufferedReader(guarded_files.opened(path)) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _changed(folder: pathlib.Path, files: Sequence[SealedFile]) -> list[str]:
    with parallel.Workers(cores.allowed()) as workers:
        found = workers.in_order(sha256, [folder / file.name for file in files])
        return [file.name for file, seen in zip(files, found, strict=True) if seen != file.sha256]


def _is_below(name: str) -> bool:
    path = pathlib.PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and not {"..", "."} & set(path.parts)


@contextlib.contextmanager
def _held(folder: pathlib.Path) -> Iterator[None]:
    """Say to others on this machine that the folder is in use; the kernel takes it back when the process dies."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _is_abandoned(folder: pathlib.Path) -> bool:
    # Where the file system knows no such locks, every draft counts as in use.
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(handle)


def _seal_file(made: Draft, path: pathlib.Path) -> SealedFile:
    name = path.relative_to(made.path).as_posix()
    _flush(path)
    return SealedFile(name=name, size=path.stat().st_size, sha256=made.known.get(name) or sha256(path))


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _names(folder: pathlib.Path) -> list[str]:
    """Everything but folders: a link or a pipe could be opened as well."""
    there = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in there)


def _rename(source: pathlib.Path, final: pathlib.Path, *, content: str) -> None:
    # What is sealed with this content and holds every byte of it stays. Anything else there is damaged, unfinished,
    # or an earlier outcome under a fixed name: it is moved aside whole, never merged with. The loop covers a writer
    # that comes between.
    while not _holds(final, content):
        try:
            source.rename(final)
        except OSError:
            if not final.exists():
                raise
            if _holds(final, content):
                return
            aside = final.with_name(f".{final.name}.0.{secrets.token_hex(6)}.partial")
            with contextlib.suppress(FileNotFoundError):
                final.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            return


def _holds(folder: pathlib.Path, content: str) -> bool:
    """Whether the content is there, every byte; what else lies there counts for nothing."""
    if not is_sealed(folder):
        return False
    manifest = read(folder)
    return manifest.digest == content and not _changed(folder, manifest.files)


def _write_flushed(path: pathlib.Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _flush(path: pathlib.Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
