"""What keeps the pods of a stage's Job from being made or started."""

import dataclasses
from collections.abc import Sequence
from typing import Final

from modelrefresh.api.conditions import Reason
from modelrefresh.cluster import stage_jobs
from modelrefresh.kube.port import Document, Port
from modelrefresh.plan.observed import Hindrance, JobState, ObservedJob
from modelrefresh.pods import starting

_SILENT: Final = "no event says why; look at the Job controller"


async def of_job(port: Port, observed: ObservedJob, job: Document, pods: Sequence[Document]) -> ObservedJob:
    """The Job with what hinders it, if it has not ended; `pods` are those of all Jobs."""
    if observed.state not in (JobState.QUEUED, JobState.RUNNING) or observed.deleting:
        return observed
    return dataclasses.replace(observed, hindrance=await _find(port, job, stage_jobs.pods_of(observed.uid, pods)))


async def _find(port: Port, job: Document, pods: Sequence[Document]) -> Hindrance | None:
    if job["spec"].get("suspend"):
        return None
    wanted, name = job["spec"].get("parallelism", 1), job["metadata"]["name"]
    if len(pods) >= wanted:
        return await starting.of_pods(port, pods, reason=Reason.POD_STUCK)
    said = await starting.warning(port, job)
    if pods and not said:
        return None
    made = f"only {len(pods)} of {wanted} pods" if pods else "no pod"
    text = f"{made} of Job {name} could be made: {said or _SILENT}"
    return Hindrance(reason=Reason.PODS_REFUSED, message=text)
