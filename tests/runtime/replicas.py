"""Operator processes from the source tree, run against a real cluster and treated badly.

Each serves one namespace, in which its Lease lies too, so that an installed operator and
these do not meet in one Lease.
"""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).parents[2]
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One process of the operator."""

    process: subprocess.Popen[bytes]
    port: int
    log: pathlib.Path

    def leads(self) -> bool:
        """Whether it says so."""
        return self.metric("modelrefresh_leader") == 1.0

    def metric(self, name: str) -> float | None:
        """A metric without labels, or None while the process does not answer."""
        with contextlib.suppress(OSError):
            page = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=2).read().decode()
            for line in page.splitlines():
                if line.startswith(f"{name} "):
                    return float(line.split()[1])
        return None

    def send(self, sign: signal.Signals) -> None:
        """Send a signal to this process."""
        self.process.send_signal(sign)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where replicas run."""

    namespace: str
    kubeconfig: pathlib.Path
    folder: pathlib.Path
    """For their logs."""


def start(name: str, place: Place) -> Replica:
    """Start a replica that serves this namespace."""
    port = _free_port()
    log = place.folder / f"{name}.log"
    environment = os.environ | {
        "KUBECONFIG": str(place.kubeconfig),
        "PYTHONPATH": str(ROOT / "operator"),
        "POD_NAME": name,
        "POD_NAMESPACE": place.namespace,
        "MODELREFRESH_NAMESPACES": place.namespace,
        "MODELREFRESH_HEALTH_PORT": str(port),
    }
    with log.open("wb") as stream:
        process = subprocess.Popen([sys.executable, "-m", "modelrefresh"], env=environment, stderr=stream)
    return Replica(process=process, port=port, log=log)


def assert_soon(holds: Callable[[], bool], what: str) -> float:
    """Wait until something holds; gives the seconds that it took."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < PATIENCE_SECONDS, f"not within {PATIENCE_SECONDS:.0f} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - started


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
