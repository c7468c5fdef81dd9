"""Jobs and their pods, as the API shows them, to `JobSeen`.

A pod says more than its Job while it exists (why it waits, the termination message, OOM);
the Job's failure condition says what survives the pod: exit code or disruption, written
there by the failure policy of `manifests/job.py`.
"""

import dataclasses
import datetime
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelrefresh.api import names, texts
from modelrefresh.contract import codec, result
from modelrefresh.contract.env import Stage
from modelrefresh.manifests.pod import CONTAINER
from modelrefresh.plan.observed import JobSeen, JobState

Document = Mapping[str, Any]

LOGGER = logging.getLogger(__name__)
_EXIT_CODE: Final = re.compile(r"failed with exit code (\d+)")
_LOG_LIMIT: Final = 1500
_LOG_BYTES: Final = 2045
"""From so many on (2048 less a character cut in two) Kubernetes has cut a log, most likely within a line."""
_DISRUPTION: Final = "DisruptionTarget"
BAD_IMAGE: Final = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
STUCK: Final = (*BAD_IMAGE, "CreateContainerConfigError", "CreateContainerError", "RunContainerError")


def read(jobs: Sequence[Document], pods: Sequence[dict[str, Any]]) -> tuple[JobSeen, ...]:
    """One record per Job, oldest first; what only wears our labels, and wears them wrongly, is nobody's attempt."""
    ordered = sorted(
        filter(_is_attempt, jobs),
        key=lambda job: (job["metadata"].get("creationTimestamp", ""), job["metadata"]["name"]),
    )
    return tuple(_job(job, pods_of(job["metadata"]["uid"], pods)) for job in ordered)


def busy(pods: Sequence[Document]) -> frozenset[tuple[str, Stage]]:
    """(run, stage) of every pod that may still write."""
    alive = [pod for pod in pods if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")]
    marks = [pod["metadata"]["labels"] for pod in filter(_is_attempt, alive)]
    return frozenset((labels[names.LABEL_RUN], Stage(labels[names.LABEL_STAGE])) for labels in marks)


def time_of(text: str | None) -> datetime.datetime | None:
    """An API timestamp, or None."""
    return datetime.datetime.fromisoformat(text) if text else None


def _is_attempt(document: Document) -> bool:
    """Whether a Job or pod has the labels of an attempt; anybody may write labels, so they are not trusted to fit."""
    labels = document["metadata"].get("labels") or {}
    fits = (
        names.LABEL_RUN in labels
        and labels.get(names.LABEL_STAGE) in tuple(Stage)
        and labels.get(names.LABEL_ATTEMPT, "").isdecimal()
    )
    if not fits:
        LOGGER.warning("%s has the labels of no attempt and is left alone: %s", document["metadata"]["name"], labels)
    return fits


def _job(job: Document, pods: Sequence[Document]) -> JobSeen:
    labels, status = job["metadata"]["labels"], job.get("status", {})
    failed = _condition(status, "Failed") or _condition(status, "FailureTarget")
    said = failed.get("message", "") if failed else ""
    ended = [end for pod in pods if (end := _terminated(pod)) is not None]
    bad = next((end for end in ended if end.get("exitCode") != 0), None)
    answer = _result(ended, failed=failed is not None)
    return JobSeen(
        name=job["metadata"]["name"],
        uid=job["metadata"]["uid"],
        run=labels[names.LABEL_RUN],
        stage=Stage(labels[names.LABEL_STAGE]),
        attempt=int(labels[names.LABEL_ATTEMPT]),
        state=_state(status, pods, failed=failed is not None),
        profile=job["metadata"].get("annotations", {}).get(names.ANNOTATION_PROFILE, ""),
        deleting="deletionTimestamp" in job["metadata"],
        exit_code=_exit_code(bad, said),
        result=answer,
        message=_message(pods, bad, said) or _suspended(job),
        disrupted=_DISRUPTION in said or any(_condition(pod.get("status", {}), _DISRUPTION) for pod in pods),
        out_of_memory=any(end.get("reason") == "OOMKilled" for end in ended),
        deadline_exceeded=any(pod.get("status", {}).get("reason") == "DeadlineExceeded" for pod in pods),
        image_failed=any(_waiting(pod).get("reason") in BAD_IMAGE for pod in pods),
        started=min((begun for pod in pods if (begun := _started(pod)) is not None), default=None),
        finished=time_of(status.get("completionTime"))
        or (time_of(failed.get("lastTransitionTime")) if failed else None),
    )


def _state(status: Document, pods: Sequence[Document], *, failed: bool) -> JobState:
    if _condition(status, "Complete"):
        return JobState.SUCCEEDED
    if failed and _condition(status, "Failed"):
        return JobState.FAILED
    running = any(_started(pod) is not None for pod in pods)
    return JobState.RUNNING if running else JobState.QUEUED


def _exit_code(bad: Document | None, said: str) -> int | None:
    if bad is not None:
        return int(bad["exitCode"])
    found = _EXIT_CODE.search(said)
    return int(found[1]) if found else None


def _result(ended: Sequence[Document], *, failed: bool) -> result.Result | None:
    """The first readable result; of a failed Job the first that is not a success."""
    for end in ended:
        try:
            answer = result.parse(end.get("message", ""))
        except codec.CodecError:
            continue
        if not failed or answer.exit_code != 0:
            return answer
    return None


def _message(pods: Sequence[Document], bad: Document | None, said: str) -> str:
    if bad is not None and bad.get("message"):
        return _log(str(bad["message"]))
    for pod in pods:
        waiting = _waiting(pod)
        if waiting.get("reason") in STUCK:
            return f"pod {pod['metadata']['name']}: {waiting['reason']}: {waiting.get('message', '')}".strip(": ")
        unplaced = _condition(pod.get("status", {}), "PodScheduled", wanted="False")
        if unplaced:
            return f"pod {pod['metadata']['name']} waits for a node: {unplaced.get('message', '')}"
    return said


def _log(text: str) -> str:
    """The end of a log, from the beginning of a line."""
    if len(text.encode()) < _LOG_BYTES:
        return texts.excerpt(text, _LOG_LIMIT)
    _, _, whole = text.partition("\n")
    return texts.excerpt(f"…\n{whole or text}", _LOG_LIMIT)


def _suspended(job: Document) -> str:
    return "the Job is suspended: its queue has not admitted it yet" if job["spec"].get("suspend") else ""


def _condition(status: Document, kind: str, *, wanted: str = "True") -> Document | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == kind and condition.get("status") == wanted:
            return dict(condition)
    return None


def pods_of(uid: str, pods: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pods that the Job with this uid owns."""
    return [
        pod for pod in pods if any(owner.get("uid") == uid for owner in pod["metadata"].get("ownerReferences") or ())
    ]


def _container(pod: Document) -> Document:
    """The stage's own container; others may have been injected beside it."""
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return next((dict(status) for status in statuses if status.get("name") == CONTAINER), {})


def _terminated(pod: Document) -> Document | None:
    end = _container(pod).get("state", {}).get("terminated")
    return dict(end) if end else None


def _waiting(pod: Document) -> Document:
    return dict(_container(pod).get("state", {}).get("waiting") or {})


def _started(pod: Document) -> datetime.datetime | None:
    state = _container(pod).get("state", {})
    return time_of((state.get("running") or state.get("terminated") or {}).get("startedAt"))


def at(job: JobSeen, percent: float, *, step: int) -> JobSeen:
    """The Job with its progress, rounded down to whole steps; what is no share of a hundred is none."""
    if not 0 <= percent <= 100:  # noqa: PLR2004 -- per cent; not a number is refused too
        return job
    return dataclasses.replace(job, progress=f"{int(percent) // step * step}%")
