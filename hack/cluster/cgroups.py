"""Which processes are ours: those in our control groups, and no others.

A process stays in its group over forks and over the death of whoever started it,
so a group finds what a killed run left behind where a list of pids would miss it
or name a stranger. Knows both cgroup versions; limits are the kubelet's business.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hack.cluster import failures

ROOT: Final = "modelrefresh"
PODS: Final = "pods"
DAEMONS: Final = "daemons"
REGISTRY: Final = "registry"


def hierarchies() -> tuple[Path, ...]:
    """Return the mount point of every cgroup hierarchy, version 1 and 2."""
    rows = (line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines())
    return tuple(Path(row[1]) for row in rows if row[2] in {"cgroup", "cgroup2"})


def tracking() -> Path:
    """Return the hierarchy in which membership counts: the unified one, or `pids` in version 1."""
    for mount in hierarchies():
        if mount == Path("/sys/fs/cgroup") or mount.name == "pids":
            return mount / ROOT
    raise failures.ClusterError(
        "cgroups: neither a unified hierarchy on /sys/fs/cgroup nor a `pids` one is mounted. "
        "The cluster from source needs one of them: mount it, or use CLUSTER=kind or CLUSTER=current."
    )


def prepare() -> None:
    """Create our groups, with every controller passed down to the pods."""
    for mount in hierarchies():
        for name in (PODS, DAEMONS):
            group = mount / ROOT / name
            group.mkdir(parents=True, exist_ok=True)
    if tracking().parent == Path("/sys/fs/cgroup"):
        for group in (tracking().parent, tracking()):
            for controller in (group / "cgroup.controllers").read_text(encoding="utf-8").split():
                (group / "cgroup.subtree_control").write_text(f"+{controller}", encoding="utf-8")


def entrance(group: str) -> Path:
    """Return the file into which a process writes 0 to join `group`."""
    path = tracking() / group / "cgroup.procs"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def members(group: str) -> Iterator[int]:
    """Yield the process ids in `group` and in everything below it."""
    for path in (tracking() / group).rglob("cgroup.procs"):
        with contextlib.suppress(OSError):  # a group that goes away meanwhile has no members
            yield from map(int, path.read_text(encoding="utf-8").split())


def kill(group: str, *, seconds: float = 30) -> None:
    """Kill everything in `group`, again and again until nothing is born any more."""
    deadline = time.monotonic() + seconds
    while found := tuple(members(group)):
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise failures.ClusterError(
                f"cgroup {tracking() / group}: processes {found} still live {seconds:.0f} s after SIGKILL. "
                "They hang in the kernel: look at /proc/PID/stack, or restart the machine."
            )
        time.sleep(0.05)


def remove(group: str) -> None:
    """Remove `group`, which has no processes any more, from every hierarchy."""
    for mount in hierarchies():
        for folder, _, _ in os.walk(mount / ROOT / group, topdown=False):
            with contextlib.suppress(OSError):  # the next start takes an empty leftover as it is
                Path(folder).rmdir()
        with contextlib.suppress(OSError):
            (mount / ROOT).rmdir()
