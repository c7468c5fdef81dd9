"""The life of an object that has stages, of either kind: it is held until its Jobs are gone."""

import datetime
import itertools
from collections.abc import Iterable

from modelrefresh.api.conditions import Reason
from modelrefresh.plan.actions import Action, AddFinalizer, Plan, RemoveFinalizer, StatusSummary, StopJob
from modelrefresh.plan.observed import JobState, Observed, ObservedJob, S

LOOK_AGAIN_SECONDS = 30.0
"""How often a missing prerequisite is looked for; most of them cause no event of ours."""
_STOPS = 20
"""Jobs that one pass deletes at most: an honest refresh has a few, and a pass must not grow with what others make."""


def clean_up(observed: Observed[S], _: datetime.datetime) -> Plan[S] | None:
    """Deletion: Jobs first, then the finalizer; what is stored and what serves is left as it is."""
    if not observed.meta.deleting:
        return None
    summary = StatusSummary(
        reason=Reason.DELETING, message="stopping Jobs; nothing stored or served is removed", reconciling=True
    )
    if observed.jobs or observed.pods:
        stops = stop(observed.jobs, finished=True)
        return Plan(status=observed.status, summary=summary, actions=stops, requeue_after_seconds=5.0)
    actions: tuple[Action, ...] = (RemoveFinalizer(),) if observed.meta.finalizer else ()
    return Plan(status=observed.status, summary=summary, actions=actions)


def add_finalizer(observed: Observed[S], _: datetime.datetime) -> Plan[S] | None:
    """First sight: hold the object until its Jobs can be cleaned up."""
    if observed.meta.finalizer:
        return None
    summary = StatusSummary(reason=Reason.PENDING, message="seen for the first time", reconciling=True)
    return Plan(status=observed.status, summary=summary, actions=(AddFinalizer(),), requeue_after_seconds=0.0)


def stop(jobs: Iterable[ObservedJob], *, finished: bool = False) -> tuple[Action, ...]:
    """Delete Jobs that may still work, with `finished` the others too; what is too much waits for the next pass."""
    open_states = (JobState.QUEUED, JobState.RUNNING)
    stops = (
        StopJob(name=job.name, uid=job.uid)
        for job in jobs
        if not job.deleting and (finished or job.state in open_states)
    )
    return tuple(itertools.islice(stops, _STOPS))
