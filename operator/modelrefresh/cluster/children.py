"""The Jobs of an object and their pods: what is asked of the API, and what of the answers is ours.

Whoever may create Jobs can forge any number with our labels: they are looked through page by page, up to an end, and
forgotten at once, so that they neither hide ours nor become the work of a pass. Knows no rule that reads them.
"""

import asyncio
import dataclasses
import datetime
import logging
from collections.abc import Sequence
from typing import Any, Final

from modelrefresh.api import names
from modelrefresh.cluster import hindrances, progress, stage_jobs
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import documents, kinds
from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Document, Port
from modelrefresh.plan.observed import JobState, Meta, ObservedJob

LOG = logging.getLogger(__name__)
_PAGE: Final = 250
_PAGES: Final = 20
"""So many pages of Jobs, and of pods, a pass looks through for ours; an honest object has a few dozen."""
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

    def is_of(self, job: ObservedJob) -> bool:
        """Whether the Job is that attempt's."""
        return (job.run, job.stage, job.attempt) == (self.run, self.stage, self.attempt)


async def of(port: Port, meta: Meta, current: Current | None, *, now: datetime.datetime) -> dict[str, Any]:
    """Jobs and pods of the object; of the attempt at work also what hinders it and how far it is."""
    jobs, pods = await asyncio.gather(_own(port, kinds.JOB, meta), _own(port, kinds.POD, meta))
    seen = stage_jobs.read(jobs, pods)
    # Questions that go beyond these lists are asked of the attempt at work only.
    place = next((place for place, job in enumerate(seen) if current and current.is_of(job)), None)
    if place is not None:
        job = next(job for job in jobs if job["metadata"]["uid"] == seen[place].uid)
        at_work = await _at_work(port, seen[place], job, pods, now=now)
        seen = (*seen[:place], at_work, *seen[place + 1 :])
    return {"jobs": seen, "pods": stage_jobs.busy(pods)}


async def _own(port: Port, kind: Kind, meta: Meta) -> list[Document]:
    """What is ours of the Jobs, or pods, that wear our label; of a crowd only ours are kept."""
    own, seen, pages = list[Document](), 0, 0
    selector = f"{names.LABEL_OWNER_UID}={meta.uid}"
    async for page in port.pages(kind, namespace=meta.namespace, selector=selector, limit=_PAGE):
        own += [item for item in page if stage_jobs.is_ours(item, meta)]
        seen, pages = seen + len(page), pages + 1
        if pages == _PAGES:
            break
    if seen > len(own):
        LOG.info("%d of %d %ss with the label of %s are not its own", seen - len(own), seen, kind.kind, meta.name)
    return own


async def _at_work(
    port: Port, seen: ObservedJob, job: Document, pods: Sequence[Document], *, now: datetime.datetime
) -> ObservedJob:
    """The Job with what hinders it and how far it is."""
    if (now - documents.created(job)).total_seconds() > _PATIENCE_SECONDS:
        seen = await hindrances.of_job(port, seen, job, pods)
    return await _ask(seen, pods) if seen.state is JobState.RUNNING else seen


async def _ask(job: ObservedJob, pods: Sequence[Document]) -> ObservedJob:
    addresses = sorted(
        (pod["metadata"]["name"], pod.get("status", {}).get("podIP", "")) for pod in stage_jobs.pods_of(job.uid, pods)
    )
    page = await progress.probe(addresses[0][1]) if addresses and addresses[0][1] else None
    percent = page.get("percent") if page else None
    return stage_jobs.at(job, percent, step=_STEP_PERCENT) if isinstance(percent, int | float) else job
