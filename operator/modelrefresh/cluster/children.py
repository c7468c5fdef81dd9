"""The Jobs of an object and their pods: what is asked of the API, and what of the answers is ours.

So many at most, whoever made them, and the attempt at work for certain: whoever may create Jobs can forge any number,
which must neither hide ours nor become work of a pass. Knows no rule that reads them.
"""

import asyncio
import contextlib
import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any, Final

from modelrefresh import errors
from modelrefresh.api import names
from modelrefresh.cluster import attempts, hindrances, kinds, progress
from modelrefresh.cluster.port import Document, Port
from modelrefresh.contract.env import Stage
from modelrefresh.plan.observed import JobSeen, JobState, Meta

_CHILDREN: Final = 250
"""Jobs, and pods, that a pass looks at; an honest object has a few dozen."""
_JOB_UID: Final = "batch.kubernetes.io/controller-uid"
_STEP_PERCENT: Final = 10
"""Progress is recorded in steps of this size, since each one is a write of the whole status."""
_PATIENCE_SECONDS: Final = 60
"""So long a Job may be without pods, or with pods that do not start, before somebody asks why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """The attempt at work, by its record."""

    run: str
    stage: Stage
    attempt: int

    def is_of(self, job: JobSeen) -> bool:
        """Whether the Job is that attempt's."""
        return (job.run, job.stage, job.attempt) == (self.run, self.stage, self.attempt)


async def of(port: Port, meta: Meta, current: Current | None, *, now: datetime.datetime) -> dict[str, Any]:
    """Jobs and pods of the object: so many at most, whoever made them, and that of the attempt at work for certain."""
    jobs, pods = await asyncio.gather(
        port.find(kinds.JOB, namespace=meta.namespace, selector=f"{names.LABEL_OWNER_UID}={meta.uid}", limit=_CHILDREN),
        port.find(kinds.POD, namespace=meta.namespace, selector=f"{names.LABEL_OWNER_UID}={meta.uid}", limit=_CHILDREN),
    )
    if current is not None and _CHILDREN in (len(jobs), len(pods)):
        more = await _attempt(port, meta, current)
        known = {item["metadata"]["uid"] for item in (*jobs, *pods)}
        jobs += [job for job in more[0] if job["metadata"]["uid"] not in known]
        pods += [pod for pod in more[1] if pod["metadata"]["uid"] not in known]
    own = attempts.of(meta, jobs, pods)
    seen = attempts.read(own.jobs, own.pods)
    # Questions that go beyond these lists are asked of the attempt at work only.
    place = next((place for place, job in enumerate(seen) if current and current.is_of(job)), None)
    if place is not None:
        job = next(job for job in own.jobs if job["metadata"]["uid"] == seen[place].uid)
        at_work = await _told(port, seen[place], job, own.pods, now=now)
        seen = (*seen[:place], at_work, *seen[place + 1 :])
    return {"jobs": seen, "pods": attempts.busy(own.pods)}


async def _attempt(port: Port, meta: Meta, current: Current) -> tuple[list[Document], list[Document]]:
    """The Job of the attempt at work and its pods, however many others there are."""
    for uid in (meta.uid, None):
        name = names.job_name(
            owner=meta.name, uid=uid, run=current.run, stage=current.stage.value, attempt=current.attempt
        )
        with contextlib.suppress(errors.NotFoundError):
            job = await port.get(kinds.JOB, namespace=meta.namespace, name=name)
            chosen = f"{_JOB_UID}={job['metadata']['uid']}"
            return [job], await port.find(kinds.POD, namespace=meta.namespace, selector=chosen, limit=_CHILDREN)
    return [], []


async def _told(
    port: Port, seen: JobSeen, job: Document, pods: Sequence[Document], *, now: datetime.datetime
) -> JobSeen:
    """The Job with what hinders it and how far it is."""
    if (now - attempts.created(job)).total_seconds() > _PATIENCE_SECONDS:
        [seen] = await hindrances.of_jobs(port, [seen], [job], pods)
    return await _ask(seen, pods) if seen.state is JobState.RUNNING else seen


async def _ask(job: JobSeen, pods: Sequence[Document]) -> JobSeen:
    addresses = sorted(
        (pod["metadata"]["name"], pod.get("status", {}).get("podIP", "")) for pod in attempts.pods_of(job.uid, pods)
    )
    page = await progress.probe(addresses[0][1]) if addresses and addresses[0][1] else None
    percent = page.get("percent") if page else None
    return attempts.at(job, percent, step=_STEP_PERCENT) if isinstance(percent, int | float) else job
