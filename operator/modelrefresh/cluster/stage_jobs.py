"""Jobs and their pods, as the API shows them, to `ObservedJob`.

A pod says more than its Job while it exists (why it waits, the termination message, OOM);
the Job's failure condition says what survives the pod: exit code or disruption, written
there by the failure policy of `manifests/job.py`.
"""

import dataclasses
import datetime
import hmac
from collections.abc import Sequence
from typing import Any, Final

from modelrefresh.api import names
from modelrefresh.api.status import types
from modelrefresh.contract import stage_request
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import documents, kinds
from modelrefresh.kube.port import Document
from modelrefresh.plan.observed import JobState, Meta, ObservedJob
from modelrefresh.pods import endings, starting
from modelrefresh.pods.endings import Ending

_LOG_LIMIT: Final = 1500
_DIGITS: Final = 9
"""Of an attempt's number; a label may hold 63."""
_LOG_BYTES: Final = 2045
"""From so many on (2048 less a character cut in two) Kubernetes has cut a log, most likely within a line."""


def is_ours(document: Document, meta: Meta) -> bool:
    """Whether a Job or pod that has our labels, which anybody may write, is ours.

    A Job is ours if it names us as its controller and has the name that an attempt with its labels has; a pod, if a Job
    of that name is its controller, also one that is gone: what has none, the garbage collector removes. Whoever may
    create Jobs can still make one that passes; but nobody by labels alone.
    """
    if not _is_attempt(document):
        return False
    controller = documents.controller(document)
    if document["kind"] == kinds.JOB.kind:
        return controller.get("uid") == meta.uid and document["metadata"]["name"] in _names(document, meta)
    return controller.get("kind") == kinds.JOB.kind and controller.get("name") in _names(document, meta)


def read(jobs: Sequence[Document], pods: Sequence[dict[str, Any]]) -> tuple[ObservedJob, ...]:
    """One record per Job of ours, oldest first."""
    ordered = sorted(
        jobs,
        key=lambda job: (job["metadata"].get("creationTimestamp", ""), job["metadata"]["name"]),
    )
    return tuple(_job(job, pods_of(job["metadata"]["uid"], pods)) for job in ordered)


def busy(pods: Sequence[Document]) -> frozenset[tuple[str, Stage]]:
    """(run, stage) of every pod whose stage may still write; what else runs in it has no part in that."""
    alive = [
        pod
        for pod in pods
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed") and endings.terminated(pod) is None
    ]
    marks = [pod["metadata"].get("labels") or {} for pod in filter(_is_attempt, alive)]
    return frozenset((labels[names.LABEL_RUN], Stage(labels[names.LABEL_STAGE])) for labels in marks)


def _is_attempt(document: Document) -> bool:
    """Whether a Job or pod has the labels of an attempt; anybody may write labels, so they are not trusted to fit."""
    labels = document["metadata"].get("labels") or {}
    return (
        names.LABEL_RUN in labels
        and labels.get(names.LABEL_STAGE) in tuple(Stage)
        and labels.get(names.LABEL_ATTEMPT, "").isdecimal()
    )


def _job(job: Document, pods: Sequence[Document]) -> ObservedJob:
    labels, status = job["metadata"]["labels"], job.get("status", {})
    failed = documents.condition(job, "Failed") or documents.condition(job, "FailureTarget")
    said = failed.get("message", "") if failed else ""
    state = _state(job, pods)
    nonce = _nonce(job)
    end = _speaker(endings.of(pods, said=said), state, nonce)
    # A failure needs no proof: whoever forges one loses a run of their own, and an older image carries no nonce.
    answer = end.answer if end.exit_code or _is_bound(end, nonce) else None
    return ObservedJob(
        name=job["metadata"]["name"],
        uid=job["metadata"]["uid"],
        run=labels[names.LABEL_RUN],
        stage=Stage(labels[names.LABEL_STAGE]),
        attempt=int(labels[names.LABEL_ATTEMPT]),
        state=state,
        profile=job["metadata"].get("annotations", {}).get(names.ANNOTATION_PROFILE, ""),
        deleting="deletionTimestamp" in job["metadata"],
        exit_code=end.exit_code,
        result=answer,
        message=_message(pods, end, said, nonce) or _suspended(job),
        disrupted=end.disrupted,
        out_of_memory=end.out_of_memory,
        deadline_exceeded=end.deadline_exceeded,
        image_failed=any(_waiting(pod).get("reason") in starting.BAD_IMAGE for pod in pods),
        started=min((begun for pod in pods if (begun := _started(pod)) is not None), default=None),
        finished=_finished(status, failed, pods),
    )


def _nonce(job: Document) -> str | None:
    """What was handed to this Job alone; one of an older operator was handed nothing."""
    containers = job["spec"].get("template", {}).get("spec", {}).get("containers") or ()
    variables = [one for container in containers for one in container.get("env") or ()]
    return next((str(one.get("value")) for one in variables if one.get("name") == stage_request.NONCE_VARIABLE), None)


def _is_bound(end: Ending, nonce: str | None) -> bool:
    said = end.answer.nonce if end.answer else None
    return nonce is None or (said is not None and hmac.compare_digest(said.encode(), nonce.encode()))


def _names(document: Document, meta: Meta) -> set[str]:
    """What the Job of an attempt with these labels is called, today and by operators before this release."""
    labels = document["metadata"]["labels"]
    run, stage, attempt = (labels[label] for label in (names.LABEL_RUN, names.LABEL_STAGE, names.LABEL_ATTEMPT))
    number = int(attempt[:_DIGITS])
    return {names.job_name(owner=meta.name, uid=uid, run=run, stage=stage, attempt=number) for uid in (meta.uid, None)}


def _state(job: Document, pods: Sequence[Document]) -> JobState:
    """What became of the stage; a Job that other containers of its pods fail or hold open changes nothing about it."""
    ends = [endings.terminated(pod) for pod in pods]
    over = len(ends) >= (job.get("spec", {}).get("completions") or 1) and all(end is not None for end in ends)
    failed = documents.condition(job, "Failed") is not None
    decided = over and (failed or any(map(endings.is_held_open, pods)))
    if documents.condition(job, "Complete") or (decided and all(end["exitCode"] == 0 for end in ends if end)):
        return JobState.SUCCEEDED
    if decided or failed:
        return JobState.FAILED
    running = any(_started(pod) is not None for pod in pods)
    return JobState.RUNNING if running else JobState.QUEUED


def _speaker(ends: Sequence[Ending], state: JobState, nonce: str | None) -> Ending:
    """The ending that counts: the first that left a result where the stage succeeded, the culprit's where it failed."""
    if state is JobState.SUCCEEDED:
        told = (end for end in ends if end.exit_code == 0)
        return min(
            told, key=lambda end: (not _is_bound(end, nonce), end.answer is None, end.pod), default=Ending(pod="")
        )
    return endings.culprit(end for end in ends if end.exit_code != 0) or Ending(pod="")


def _finished(status: Document, failed: Document | None, pods: Sequence[Document]) -> datetime.datetime | None:
    told = status.get("completionTime") or (failed or {}).get("lastTransitionTime")
    ends = [documents.time_of(end.get("finishedAt")) for pod in pods if (end := endings.terminated(pod))]
    return documents.time_of(told) or max((end for end in ends if end is not None), default=None)


def _message(pods: Sequence[Document], end: Ending, said: str, nonce: str | None) -> str:
    if end.exit_code and end.text:
        # The nonce is nobody's business, also where a message was cut.
        return end.answer.message if end.answer else _log(end.text.replace(nonce, "...") if nonce else end.text)
    fault = end.fault if end.exit_code == 0 else ""
    if end.answer is not None and end.exit_code == 0 and not _is_bound(end, nonce):
        fault = "without the nonce of its Job; somebody else's word, or the profile's image is of another release"
    if fault:
        return f"termination message of pod {end.pod}: {fault}"
    for pod in sorted(pods, key=lambda pod: pod["metadata"]["name"]):
        waiting = _waiting(pod)
        if waiting.get("reason") in starting.BAD_IMAGE:
            return f"{starting.unpullable(pod, endings.container(pod))}{_cause(waiting)}"
        if waiting.get("reason") in starting.STUCK:
            return f"pod {pod['metadata']['name']}: {waiting['reason']}: {waiting.get('message', '')}".strip(": ")
        unplaced = documents.condition(pod, "PodScheduled", wanted="False")
        if unplaced:
            return f"pod {pod['metadata']['name']} waits for a node: {unplaced.get('message', '')}"
    return said


def _cause(waiting: Document) -> str:
    """Why not, in the registry's words; a pause alone is no cause."""
    said = str(waiting.get("message") or "").rpartition("ErrImagePull: ")[2]
    return "" if not said or said.startswith("Back-off ") else f": {said}"


def _log(text: str) -> str:
    """The end of a log, from the beginning of a line."""
    if len(text.encode()) < _LOG_BYTES:
        return types.excerpt(text, _LOG_LIMIT)
    _, _, whole = text.partition("\n")
    return types.excerpt(f"…\n{whole or text}", _LOG_LIMIT)


def _suspended(job: Document) -> str:
    return "the Job is suspended: its queue has not admitted it yet" if job["spec"].get("suspend") else ""


def pods_of(uid: str, pods: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pods that the Job with this uid controls."""
    return [pod for pod in pods if documents.controller(pod).get("uid") == uid]


def _waiting(pod: Document) -> Document:
    return dict(endings.container(pod).get("state", {}).get("waiting") or {})


def _started(pod: Document) -> datetime.datetime | None:
    state = endings.container(pod).get("state", {})
    return documents.time_of((state.get("running") or state.get("terminated") or {}).get("startedAt"))


def at(job: ObservedJob, percent: float, *, step: int) -> ObservedJob:
    """The Job with its progress, rounded down to whole steps; what is no share of a hundred is none."""
    if not 0 <= percent <= 100:  # noqa: PLR2004 -- per cent; not a number is refused too
        return job
    return dataclasses.replace(job, progress=f"{int(percent) // step * step}%")
