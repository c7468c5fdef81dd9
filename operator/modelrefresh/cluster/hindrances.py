"""What keeps pods from being made or started: the newest event of a Job or pod, conditions of a Deployment.

Knows where Kubernetes tells it: a controller that can make no pod says so in an event only,
and so does a kubelet that cannot mount a volume. Texts leave out what is new at every try,
such as a pod's random name, since each new text is a write. Decides nothing.
"""

import dataclasses
import datetime
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelrefresh import errors
from modelrefresh.api.conditions import Reason
from modelrefresh.cluster import endings, stage_jobs
from modelrefresh.kube import kinds
from modelrefresh.kube.port import Document, Port
from modelrefresh.plan.observed import Hindrance, JobState, ObservedJob

LOGGER = logging.getLogger(__name__)
_POD_NAME: Final = re.compile(r'\bpods? "[^"]*"')
_LONG_AGO: Final = datetime.datetime.min.replace(tzinfo=datetime.UTC)
_WARNINGS: Final = 3
"""So many texts are told; what is new at every try in a way that `constant` does not know must not fill a condition."""
_EVENTS: Final = 250
_SILENT: Final = "no event says why; look at the Job controller"


async def of_jobs(
    port: Port, seen: Sequence[ObservedJob], jobs: Sequence[Document], pods: Sequence[Document]
) -> list[ObservedJob]:
    """All of `seen`; those of `jobs` that have not ended with what keeps their pods from being made or started."""
    documents = {job["metadata"]["uid"]: job for job in jobs}
    return [
        dataclasses.replace(job, hindrance=await _of_job(port, documents[job.uid], stage_jobs.pods_of(job.uid, pods)))
        if job.uid in documents and job.state in (JobState.QUEUED, JobState.RUNNING) and not job.deleting
        else job
        for job in seen
    ]


async def _of_job(port: Port, job: Document, pods: Sequence[Document]) -> Hindrance | None:
    """Why a Job that has not ended has too few pods, or one that cannot start; `pods` are its own."""
    if job["spec"].get("suspend"):
        return None
    wanted, name = job["spec"].get("parallelism", 1), job["metadata"]["name"]
    if len(pods) >= wanted:
        return await _of_pods(port, pods, reason=Reason.POD_STUCK)
    said = await _warning(port, job)
    if pods and not said:
        return None
    made = f"only {len(pods)} of {wanted} pods" if pods else "no pod"
    text = f"{made} of Job {name} could be made: {said or _SILENT}"
    return Hindrance(reason=Reason.PODS_REFUSED, message=text)


async def of_deployment(port: Port, document: Document, pods: Sequence[Document]) -> Hindrance | None:
    """What keeps a Deployment's newest template from being tried; `pods` are those of that template.

    A pod of it that ran and is not ready speaks for itself, whatever the cluster does with the others.
    """
    name = document["metadata"]["name"]
    if document["spec"].get("paused"):
        text = f'Deployment "{name}" is paused (spec.paused); kubectl rollout resume deployment/{name}'
        return Hindrance(reason=Reason.TARGET_PAUSED, message=text)
    if any(has_run(pod) and not _is_ready(pod) for pod in pods):
        return None
    refused = endings.condition(document, "ReplicaFailure")
    if refused is not None:
        text = f'Deployment "{name}" can make no pod: {constant(refused.get("message", ""))}'
        return Hindrance(reason=Reason.TARGET_HINDERED, message=text)
    return await _of_pods(port, pods, reason=Reason.TARGET_HINDERED)


def has_run(pod: Document) -> bool:
    """Whether any of its containers has ever run."""
    states = [state for status in _containers(pod) for state in (status.get("state") or {}, _last(status))]
    return any(state.get("running") or state.get("terminated") for state in states)


async def _of_pods(port: Port, pods: Sequence[Document], *, reason: Reason) -> Hindrance | None:
    for pod in pods:
        if not has_run(pod) and (found := await _of_pod(port, pod, reason=reason)) is not None:
            return found
    return None


async def _of_pod(port: Port, pod: Document, *, reason: Reason) -> Hindrance | None:
    name = pod["metadata"]["name"]
    unplaced = endings.condition(pod, "PodScheduled", wanted="False")
    if unplaced is not None:
        text = f"pod {name} waits for a node: {unplaced.get('message', '')}"
        return Hindrance(reason=Reason.QUEUED, message=text, stalled=False)
    for status in _containers(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in stage_jobs.BAD_IMAGE:
            return Hindrance(reason=Reason.IMAGE_PULL_FAILED, message=stage_jobs.unpullable(pod, status))
        if waiting.get("reason") in stage_jobs.STUCK:
            text = f"pod {name} cannot start: {waiting['reason']}: {waiting.get('message', '')}"
            return Hindrance(reason=reason, message=text)
    if said := await _warning(port, pod):
        return Hindrance(reason=reason, message=f"pod {name} cannot start: {said}")
    return None


async def _warning(port: Port, document: Document) -> str:
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
        LOGGER.warning("what hinders %s cannot be read: %s", metadata["name"], error)
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
    return stage_jobs.time_of(text) or _LONG_AGO


def constant(message: str) -> str:
    """The message without what changes at every try."""
    return _POD_NAME.sub("a pod", message.removeprefix("Error creating: ")).strip()


def _containers(pod: Document) -> list[dict[str, Any]]:
    status = pod.get("status", {})
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _last(status: Mapping[str, Any]) -> Mapping[str, Any]:
    return status.get("lastState") or {}


def _is_ready(pod: Document) -> bool:
    return endings.condition(pod, "Ready") is not None
