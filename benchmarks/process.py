"""One operator process from the checkout: started with chosen settings, and asked for its own figures.

Knows the metrics page and which requests count as writes of refreshes: not those for the Lease
and not the questions after permissions. The watches of kopf are not on that page.
"""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from benchmarks import measured
from modelrefresh.kube import kinds

ROOT = pathlib.Path(__file__).parents[1]
READS = ("get", "list")
_OVERHEAD = (kinds.LEASE.kind, kinds.ACCESS_REVIEW.kind)
_REQUESTS = "modelrefresh_api_request_duration_seconds"
_PASSES = "modelrefresh_pass_duration_seconds"
_PATIENCE_SECONDS = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the operator has done and taken so far."""

    requests: Mapping[tuple[str, str], float]
    """By verb and kind."""
    passes: float
    cpu: float
    resident: int

    @property
    def writes(self) -> float:
        """All writes but those of the Lease."""
        return sum(count for (verb, _), count in self.requests.items() if verb not in READS)

    @property
    def reads(self) -> float:
        """All reads."""
        return sum(count for (verb, _), count in self.requests.items() if verb in READS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """The running process."""

    pid: int
    port: int

    def read(self) -> Reading:
        """Its figures now."""
        address = f"http://127.0.0.1:{self.port}/metrics"
        page = urllib.request.urlopen(address, timeout=30).read().decode()
        requests: Counter[tuple[str, str]] = Counter()
        passes = 0.0
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if sample.name == f"{_REQUESTS}_count" and sample.labels["kind"] not in _OVERHEAD:
                    requests[sample.labels["verb"], sample.labels["kind"]] += sample.value
                if sample.name == f"{_PASSES}_count":
                    passes += sample.value
        taken = measured.footprint(self.pid)
        return Reading(requests=requests, passes=passes, cpu=taken.cpu, resident=taken.resident)


@contextlib.contextmanager
def running(kubeconfig: pathlib.Path, *, namespace: str, rate: int, log: pathlib.Path) -> Iterator[Operator]:
    """Start an operator that may make so many writes per second, and wait until it leads."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "KUBECONFIG": str(kubeconfig),
        "PYTHONPATH": str(ROOT / "operator"),
        "POD_NAMESPACE": namespace,
        "MODELREFRESH_HEALTH_PORT": str(port),
        "MODELREFRESH_WRITES_PER_SECOND": str(rate),
        "MODELREFRESH_WRITE_BURST": str(2 * rate),
        "MODELREFRESH_LOG_LEVEL": "WARNING",
        # The listing of everything, ten minutes apart, would fall into one phase or another by chance.
        "MODELREFRESH_RESYNC_SECONDS": "86400",
    }
    with log.open("wb") as output:
        command = (sys.executable, "-m", "modelrefresh")
        process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | settings)
    try:
        _await_leader(process, port, log)
        yield Operator(pid=process.pid, port=port)
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def spent(before: Reading, after: Reading) -> Reading:
    """What was done between two readings; memory as at the second."""
    return Reading(
        requests={key: count - before.requests.get(key, 0) for key, count in after.requests.items()},
        passes=after.passes - before.passes,
        cpu=after.cpu - before.cpu,
        resident=after.resident,
    )


def _await_leader(process: subprocess.Popen[bytes], port: int, log: pathlib.Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
            lines = page.splitlines()
            listed = any(
                line.startswith("modelrefresh_resync_timestamp_seconds ") and " 0.0" not in line for line in lines
            )
            if listed and "modelrefresh_leader 1.0" in lines:
                return
        time.sleep(0.2)
    said = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"the operator did not lead within {_PATIENCE_SECONDS:.0f} s; its log ends:\n{said}")
