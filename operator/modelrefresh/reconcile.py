"""One pass over one object: gather, decide, report, perform.

The status is written before anything is done, so that every child was announced by a
record before it existed; after each single write the process may die and the next pass
goes on from there. Metrics follow the status, events follow the other writes.
"""

import contextlib
import datetime
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from modelrefresh import errors, gauges, report
from modelrefresh.api import names
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.api.status.residual import ResidualStatus
from modelrefresh.cluster import events, gather
from modelrefresh.cluster.perform import Scene, perform
from modelrefresh.kube import kinds
from modelrefresh.kube.port import Document, Port
from modelrefresh.manifests.network import Network
from modelrefresh.plan import decide, extraction
from modelrefresh.plan.actions import Plan
from modelrefresh.plan.observed import Meta, Observed, S
from modelrefresh.report import EventRecord
from modelrefresh.runtime.queue import Key

LOG = logging.getLogger(__name__)
T = TypeVar("T", bound=Observed[Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[T, S]):
    """What is done with the objects of one kind that has stages."""

    gather: Callable[[Port, Document, datetime.datetime], Awaitable[T]]
    decide: Callable[[T, datetime.datetime], Plan[S]]
    status: Callable[[Plan[S], T, datetime.datetime], S]
    """What is written of a plan."""
    event_records: Callable[[S, S], Sequence[EventRecord]]
    """What is worth an event between two statuses."""
    gauge: Callable[[Meta, S, S], None]


_REFRESHES = Kind(
    gather=gather.refresh,
    decide=decide.decide,
    status=report.refresh,
    event_records=report.event_records,
    gauge=gauges.refresh,
)
_RESIDUALS = Kind(
    gather=gather.residual,
    decide=extraction.decide,
    status=report.residual,
    event_records=report.residual_event_records,
    gauge=gauges.residual,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass(Generic[T, S]):
    """One pass: what it saw, and how what it decides is told."""

    kind: Kind[T, S]
    observed: T
    network: Network | None
    now: datetime.datetime

    @property
    def before(self) -> S:
        """The status that the object had."""
        before: S = self.observed.status
        return before

    def status_of(self, plan: Plan[S]) -> S:
        """The status that says this plan."""
        return self.kind.status(plan, self.observed, self.now)


async def one_pass(port: Port, key: Key, *, network: Network | None = None, now: datetime.datetime) -> float | None:
    """Bring one object one step further; gives the seconds until the next look, or None for none without an event."""
    try:
        document = await port.get(kinds.OF[key.kind], namespace=key.namespace, name=key.name)
    except errors.NotFoundError:
        gauges.forget(key)
        return None
    if key.kind == names.RESIDUAL:
        return await _pass(port, document, _RESIDUALS, network=network, now=now)
    return await _pass(port, document, _REFRESHES, network=network, now=now)


async def _pass(
    port: Port, document: Document, kind: Kind[T, S], *, network: Network | None, now: datetime.datetime
) -> float | None:
    observed = await kind.gather(port, document, now)
    this = Pass(kind=kind, observed=observed, network=network, now=now)
    return await _carry_out(port, document, this, kind.decide(observed, now))


async def _carry_out(port: Port, document: Document, this: Pass[T, S], plan: Plan[S]) -> float | None:
    """Status, actions, events. A refusal stands in the status until a pass could do all that it wanted.

    It is not taken back while the same write is tried again, so a write that stays refused is told once.
    """
    refusal = report.refusal(this.before) if plan.actions else None
    told = this.status_of(report.refused(plan, refusal) if refusal else plan)
    document = await _record(port, document, told)
    scene = Scene(observed=this.observed, document=document, network=this.network, now=this.now)
    try:
        for action in plan.actions:
            LOG.info("%s", action)
            await perform(port, action, scene)
    except errors.ApiError as error:
        # A quota, a missing permission, a name taken: nothing here mends it, so somebody must be told.
        is_refused = isinstance(error, errors.InvalidError | errors.ForbiddenError)
        told = this.status_of(report.refused(plan, str(error))) if is_refused else told
        # The status is written, so the next pass will see none of this as new.
        await _tell(port, document, this, told)
        await _record(port, document, told)
        raise
    else:
        told = this.status_of(plan)
        if refusal:
            # Gone, or changed by what was just done, as by the finalizer: then the next pass takes it back.
            with contextlib.suppress(errors.NotFoundError, errors.ConflictError):
                await _record(port, document, told)
        await _tell(port, document, this, told)
    finally:
        _measure(this, told)
    return plan.requeue_after_seconds


def _measure(this: Pass[T, S], told: S) -> None:
    try:
        this.kind.gauge(this.observed.meta, this.before, told)
    except Exception:
        # A figure for people must neither end a pass nor hide how it ended.
        LOG.exception("metrics of %s could not be set", this.observed.meta.name)


async def _record(port: Port, document: Document, after: RefreshStatus | ResidualStatus) -> Document:
    rendered = after.render()
    if rendered == document.get("status"):
        return document
    return await port.put_status(kinds.OF[document["kind"]], document | {"status": rendered})


async def _tell(port: Port, document: Document, this: Pass[T, S], after: S) -> None:
    for record in this.kind.event_records(this.before, after):
        await events.emit(port, _event(document["kind"], this.observed.meta, record), now=this.now)


def _event(kind: str, meta: Meta, record: EventRecord) -> events.Event:
    return events.Event(
        kind=kind,
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        severity=events.Severity.WARNING if record.warning else events.Severity.NORMAL,
        reason=record.reason,
        message=record.message,
    )
