"""A workspace on a disk of its own that is small enough to be filled: a file system in memory.

Knows that node and pods of the cluster from source see mounts of their own: the disk is mounted
there, is looked at through the runtime's process, and is gone with the cluster at the latest.
Refuses to know what runs out of room.
"""

import dataclasses
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from hack.cluster import containerd, facts, processes
from tests.e2e.place import Place

_SIZE: Final = "32m"
"""Tiny models with all checkpoints take a tenth of it."""


@contextmanager
def small(place: Place) -> Iterator[Place]:
    """The place with an empty workspace on a small disk for as long as the block lasts; no pod may have used it yet."""
    kind = facts.read().kind
    if kind != "source":
        pytest.skip(f"a disk can be mounted under the pods of a cluster from source only; this one is of kind {kind}")
    mounted = _on_node("mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=0777", "workspace", place.folder)
    if mounted.returncode:
        pytest.skip(f"no file system in memory can be mounted here: {mounted.stderr}")
    try:
        root = Path(f"/proc/{processes.pid(containerd.daemon())}/root")
        yield dataclasses.replace(place, folder=root / place.folder.relative_to("/"))
    finally:
        _on_node("umount", "--lazy", place.folder)


@contextmanager
def filled(place: Place) -> Iterator[None]:
    """No byte is free for as long as the block lasts."""
    filler, room = place.folder / "filler", os.statvfs(place.folder)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize)
    try:
        yield
    finally:
        filler.unlink()


def _on_node(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(containerd.inside(command), check=False, capture_output=True, text=True)
