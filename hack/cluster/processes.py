"""Daemons: started so that they outlive the command that started them, found again later.

A daemon has its own session, joins a control group before its program runs, and
leaves a record of pid and start time; only the pair names a process for certain.
Knows nothing of what the programs do; stopping is the control group's business.
"""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hack.cluster import cgroups, failures

_LAUNCH = 'echo 0 >"$1" && log=$2 && shift 2 && { "$@" </dev/null >>"$log" 2>&1 & echo $!; }'
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """One program of the cluster: how it is started, where its own programs, output and record are."""

    name: str
    command: Sequence[str | Path]
    folder: Path
    group: str = cgroups.DAEMONS
    programs: Path = Path("/usr/local/bin")
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.folder / "logs" / f"{self.name}.log"

    @property
    def record(self) -> Path:
        """Where its pid and start time are noted."""
        return self.folder / "pids" / self.name


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Let one process at a time through; the lock goes with the process, however that ends."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def start(daemon: Daemon) -> None:
    """Start `daemon` detached from this process."""
    for path in (daemon.log, daemon.record):
        path.parent.mkdir(parents=True, exist_ok=True)
    shell = ["/bin/sh", "-c", _LAUNCH, "launch", cgroups.entrance(daemon.group), daemon.log, *daemon.command]
    environment = {"PATH": f"{daemon.programs}:{_PATH}", "HOME": str(daemon.folder), **daemon.environment}
    launched = subprocess.run(
        shell, cwd="/", env=environment, start_new_session=True, check=True, stdout=subprocess.PIPE, text=True
    )
    number = int(launched.stdout)
    daemon.record.write_text(f"{number} {_started(number)}", encoding="utf-8")


def pid(daemon: Daemon) -> int | None:
    """Return the pid of the running daemon, or None if that very process is gone."""
    try:
        number, started = daemon.record.read_text(encoding="utf-8").split()
    except (OSError, ValueError):  # never started, or killed between creating and writing the record
        return None
    return int(number) if started != "-" and _started(int(number)) == started else None


def stop(daemon: Daemon) -> None:
    """Kill the running daemon itself, not what it started."""
    while number := pid(daemon):
        os.kill(number, signal.SIGKILL)
        time.sleep(0.05)


def wait(daemon: Daemon, ready: Callable[[], bool], *, seconds: float = 60) -> None:
    """Return when `ready` says so; say what the log says if it does not, or if the daemon ends."""
    deadline = time.monotonic() + seconds
    while not ready():
        alive = pid(daemon) is not None
        if not alive or time.monotonic() > deadline:
            seen = f"not ready after {seconds:.0f} s" if alive else "ended by itself"
            raise failures.ClusterError(f"{daemon.name}: {seen}. The end of {daemon.log}:\n{tail(daemon.log)}")
        time.sleep(0.1)


def boot() -> str:
    """Return what names this run of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()


def tail(path: Path, *, lines: int = 15) -> str:
    """Return the last lines of a log, for a person."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else "(there is none)"
    return "\n".join(text.splitlines()[-lines:])


def _started(number: int) -> str:
    """Return boot and start time of a live process, or `-`: a pid alone may be somebody else's by now."""
    try:
        stat = Path(f"/proc/{number}/stat").read_text(encoding="utf-8")
    except OSError:
        return "-"
    state, *rest = stat.rpartition(")")[2].split()
    if state in "ZX":
        return "-"
    return f"{boot()}:{rest[18]}"
