"""Log lines as JSON, each with the object that it is about.

Knows how a line looks and which object the running task works on. What is worth a line is
for the callers; secrets never reach a message, so nothing is masked here.
"""

import contextlib
import contextvars
import datetime as dt
import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a line is about; empty parts are left out."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    run: str = ""
    stage: str = ""


_SUBJECT: contextvars.ContextVar[Subject | None] = contextvars.ContextVar("subject", default=None)
_QUIET = {
    "aiohttp.access": logging.WARNING,
    "asyncio": logging.INFO,
    "kubernetes": logging.INFO,
    "kopf": logging.ERROR,
    # In an outage each watch says each try; resync and Lease say the same once.
    "kopf._cogs.clients": logging.CRITICAL,
}
"""Loggers of libraries that say less than metrics do, and from which level on they are heard."""
_PARTS = ("kind", "namespace", "name", "run", "stage")


class JsonFormatter(logging.Formatter):
    """One JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Render time, level, message, subject, extra `subject` parts and the traceback."""
        line: dict[str, str] = {
            "time": dt.datetime.fromtimestamp(record.created, tz=dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        subject = _SUBJECT.get()
        for part in _PARTS:
            value = getattr(record, f"subject_{part}", "") or getattr(subject, part, "")
            if value:
                line[part] = str(value)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(*, level: int) -> None:
    """Send all loggers as JSON lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, lowest in _QUIET.items():
        logging.getLogger(name).setLevel(max(level, lowest))


@contextlib.contextmanager
def about(subject: Subject) -> Iterator[None]:
    """All lines of this task inside the block carry the subject."""
    token = _SUBJECT.set(subject)
    try:
        yield
    finally:
        _SUBJECT.reset(token)
