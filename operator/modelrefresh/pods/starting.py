"""Why pods cannot be made or started, as events and statuses tell it.

A controller that can make no pod says so in an event only, and so does a kubelet that cannot
mount a volume. Texts leave out what is new at every try, such as a pod's random name, since
each new text is a write. Decides nothing.
"""

import datetime
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelrefresh import errors
from modelrefresh.api.conditions import Reason
from modelrefresh.kube import documents, kinds
from modelrefresh.kube.port import Document, Port
from modelrefresh.plan.observed import Hindrance

LOG = logging.getLogger(__name__)
_POD_NAME: Final = re.compile(r'\bpods? "[^"]*"')
_LONG_AGO: Final = datetime.datetime.min.replace(tzinfo=datetime.UTC)
_WARNINGS: Final = 3
"""So many texts are told; what is new at every try in a way that `constant` does not know must not fill a condition."""
_EVENTS: Final = 250
BAD_IMAGE: Final = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
STUCK: Final = (*BAD_IMAGE, "CreateContainerConfigError", "CreateContainerError", "RunContainerError")


def has_run(pod: Document) -> bool:
    """Whether any of its containers has ever run."""
    states = [state for status in _containers(pod) for state in (status.get("state") or {}, _last(status))]
    return any(state.get("running") or state.get("terminated") for state in states)


async def of_pods(port: Port, pods: Sequence[Document], *, reason: Reason) -> Hindrance | None:
    """What keeps one of these pods from starting; `reason` where nothing more exact is known."""
    for pod in pods:
        if not has_run(pod) and (found := await _of_pod(port, pod, reason=reason)) is not None:
            return found
    return None


async def _of_pod(port: Port, pod: Document, *, reason: Reason) -> Hindrance | None:
    name = pod["metadata"]["name"]
    unplaced = documents.condition(pod, "PodScheduled", wanted="False")
    if unplaced is not None:
        text = f"pod {name} waits for a node: {unplaced.get('message', '')}"
        return Hindrance(reason=Reason.QUEUED, message=text, stalled=False)
    for status in _containers(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in BAD_IMAGE:
            return Hindrance(reason=Reason.IMAGE_PULL_FAILED, message=unpullable(pod, status))
        if waiting.get("reason") in STUCK:
            text = f"pod {name} cannot start: {waiting['reason']}: {waiting.get('message', '')}"
            return Hindrance(reason=reason, message=text)
    if said := await warning(port, pod):
        return Hindrance(reason=reason, message=f"pod {name} cannot start: {said}")
    return None


async def warning(port: Port, document: Document) -> str:
    """What the object's events warn of since its newest normal one, each text once; empty if nothing.

    All of them, and in the order of their words: those of one pod take turns, and each other text is a write.
    """
    metadata = document["metadata"]
    events: list[Document] = []
    try:
        # An object has few events, for those that repeat are counted; whoever makes many holds nobody up.
        async for page in port.pages(
            kinds.EVENT, namespace=metadata["namespace"], fields=f"involvedObject.uid={metadata['uid']}"
        ):
            events += page
            if len(events) >= _EVENTS:
                break
    except errors.ForbiddenError as error:
        LOG.warning("what hinders %s cannot be read: %s", metadata["name"], error)
        return "its events may not be read; grant the operator the verb list on events"
    calm = max((_time(event) for event in events if event.get("type") != "Warning"), default=_LONG_AGO)
    warnings = {
        constant(event.get("message", ""))
        for event in events
        if event.get("type") == "Warning" and _time(event) >= calm
    }
    return "; ".join(sorted(warnings)[:_WARNINGS])


def _time(event: Document) -> datetime.datetime:
    series: Mapping[str, Any] = event.get("series") or {}
    text = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return documents.time_of(text) or _LONG_AGO


def unpullable(pod: Document, status: Document) -> str:
    """That a container's image cannot be pulled, without the words between which the kubelet alternates."""
    image, name = status.get("image", ""), status["name"]
    return f"pod {pod['metadata']['name']}: image {image} of container {name} cannot be pulled"


def constant(message: str) -> str:
    """The message without what changes at every try."""
    return _POD_NAME.sub("a pod", message.removeprefix("Error creating: ")).strip()


def _containers(pod: Document) -> list[dict[str, Any]]:
    status = pod.get("status", {})
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _last(status: Mapping[str, Any]) -> Mapping[str, Any]:
    return status.get("lastState") or {}


def is_ready(pod: Document) -> bool:
    """Whether it passes its readiness probe."""
    return documents.condition(pod, "Ready") is not None
