"""How far a stage is, for people: a log line, `/progress` as JSON and `/metrics` for Prometheus.

Best effort by design: nothing waits for it and a stage without a free port goes on silently.
The operator polls `/progress`; a PodMonitor scrapes `/metrics`.
"""

import contextlib
import http.server
import json
import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from modelrefresh.contract import printable

LOG = logging.getLogger("modelrefresh.jobs")
_LOG_SECONDS = 5.0
_PEERS = 8
_PEER_SECONDS = 5.0


@dataclass(slots=True)
class Progress:
    """The stage's position; written by the stage's thread, read by the server's."""

    stage: str
    done: int = 0
    total: int = 0
    unit: str = "items"
    gauges: dict[str, float] = field(default_factory=dict)
    """Current figures of a stage, such as loss or tokens_per_second."""
    warnings: list[str] = field(default_factory=list)
    """What the model owner should look at, though nothing failed."""
    _logged: float = 0.0

    def report(self, done: int, total: int, *, unit: str = "items", **gauges: float) -> None:
        """Move on; logs at most every few seconds."""
        self.done, self.total, self.unit = done, total, unit
        self.gauges.update(gauges)
        now = time.monotonic()
        if now - self._logged >= _LOG_SECONDS or done == total:
            self._logged = now
            figures = " ".join(f"{name}={value:.4g}" for name, value in sorted(self.gauges.items()))
            LOG.info("%s %d/%d %s %s", self.stage, done, total, unit, figures)

    def warn(self, text: str) -> None:
        """Say something that the stage's result will carry to the model owner."""
        text = printable.line(text)
        LOG.warning("%s: %s", self.stage, text)
        self.warnings.append(text)

    def document(self) -> dict[str, object]:
        """The `/progress` answer: percent 0-100, position and gauges."""
        percent = 100.0 * self.done / self.total if self.total else 0.0
        return {
            "stage": self.stage,
            "percent": round(percent, 1),
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
            **self.gauges,
        }

    def metrics(self) -> str:
        """The `/metrics` answer in Prometheus text form."""
        lines = [
            f'modelrefresh_stage_{name}{{stage="{self.stage}"}} {value}'
            for name, value in sorted({"done": float(self.done), "total": float(self.total), **self.gauges}.items())
        ]
        return "\n".join([*lines, ""])


class _Server(http.server.ThreadingHTTPServer):
    """Few connections at once, each for a few seconds: peers that say nothing cost a stage no threads."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 -- socketserver's own
        self._places = threading.BoundedSemaphore(_PEERS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 -- socketserver's own
        """Answer in a thread if there is a place, else hang up."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 -- socketserver's own
        """Answer, and give the place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 -- socketserver's own
        """A peer that breaks off is not worth a log line."""


def serve(progress: Progress, *, port: int, host: str = "") -> None:
    """Answer on this port of one or all addresses from a daemon thread; a taken port is logged and ignored."""

    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = _PEER_SECONDS

        def do_GET(self) -> None:
            text = json.dumps(progress.document()) if self.path == "/progress" else progress.metrics()
            self.send_response(
                http.HTTPStatus.OK if self.path in ("/progress", "/metrics") else http.HTTPStatus.NOT_FOUND
            )
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Requests are not worth a log line."""

    try:
        server = _Server((host, port), Handler)
    except OSError as error:
        LOG.warning("progress: port %d cannot be served (%s); the stage goes on without", port, error)
        return
    threading.Thread(target=server.serve_forever, daemon=True, name="progress").start()
