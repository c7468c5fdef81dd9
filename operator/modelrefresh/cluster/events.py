"""Kubernetes events: what the operator tells people beside an object, once for each transition.

Knows the core/v1 Event. The same event again only renews its time. An event that cannot be
written is logged and forgotten: conditions and metrics carry the truth.
"""

import datetime as dt
import enum
import hashlib
import logging
from dataclasses import dataclass

from modelrefresh import errors
from modelrefresh.api import names
from modelrefresh.api.status import types
from modelrefresh.kube import kinds
from modelrefresh.kube.port import Document, Port

LOG = logging.getLogger(__name__)
_MESSAGE_LIMIT = 1024
_NAME_LIMIT = 230


class Severity(enum.StrEnum):
    """The two types of event that Kubernetes knows."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened to one object."""

    api_version: str = names.API_VERSION
    kind: str
    namespace: str
    name: str
    uid: str
    severity: Severity = Severity.NORMAL
    reason: str
    message: str


async def emit(port: Port, event: Event, *, now: dt.datetime) -> None:
    """Write an event as well as possible.

    Raises:
        NotLeaderError: nobody may write now.
    """
    LOG.info("%s: %s", event.reason, event.message)
    body = document(event, now=now)
    try:
        try:
            await port.create(kinds.EVENT, body)
        except errors.ConflictError:
            envelope = {key: body[key] for key in ("apiVersion", "kind", "metadata", "lastTimestamp")}
            await port.patch(kinds.EVENT, envelope)
    except errors.ApiError as error:
        LOG.warning("event %s on %s %s was not written: %s", event.reason, event.kind, event.name, error)


def document(event: Event, *, now: dt.datetime) -> Document:
    """The Event object."""
    identity = f"{event.uid}\n{event.severity}\n{event.reason}\n{event.message}"
    name = f"{event.name[:_NAME_LIMIT].rstrip('-.')}.{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    time = now.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": kinds.EVENT.api_version,
        "kind": kinds.EVENT.kind,
        "metadata": {"name": name, "namespace": event.namespace},
        "involvedObject": {
            "apiVersion": event.api_version,
            "kind": event.kind,
            "namespace": event.namespace,
            "name": event.name,
            "uid": event.uid,
        },
        "type": event.severity.value,
        "reason": event.reason,
        "message": types.one_line(event.message, _MESSAGE_LIMIT),
        "source": {"component": names.MANAGER},
        "reportingComponent": names.MANAGER,
        "firstTimestamp": time,
        "lastTimestamp": time,
    }
