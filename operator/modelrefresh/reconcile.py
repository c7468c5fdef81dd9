"""One pass over one object: gather, decide, report, perform.

The status is written before anything is done, so that every child was announced by a
record before it existed; after each single write the process may die and the next pass
goes on from there. Metrics follow the status, events follow the other writes.
"""

import contextlib
import datetime
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from modelrefresh import errors, gauges, report
from modelrefresh.api import names, status
from modelrefresh.cluster import events, gather
from modelrefresh.cluster.perform import Scene, perform
from modelrefresh.kube import kinds
from modelrefresh.kube.port import Document, Port
from modelrefresh.manifests.network import Network
from modelrefresh.plan import decide, extraction
from modelrefresh.plan.actions import RefreshPlan, ResidualPlan
from modelrefresh.plan.observed import Meta, ObservedExtraction, ObservedRefresh
from modelrefresh.report import EventRecord
from modelrefresh.runtime.queue import Key

LOGGER = logging.getLogger(__name__)
S = TypeVar("S", status.RefreshStatus, status.ResidualStatus)
P = TypeVar("P", RefreshPlan, ResidualPlan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass(Generic[S, P]):
    """What a pass saw, and how what it decided is told; the same for both kinds."""

    seen: ObservedRefresh | ObservedExtraction
    before: S
    status: Callable[[P], S]
    event_records: Callable[[S, S], Sequence[EventRecord]]
    gauge: Callable[[S], None]
    network: Network | None
    now: datetime.datetime


async def one_pass(port: Port, key: Key, *, network: Network | None = None, now: datetime.datetime) -> float | None:
    """Bring one object one step further; gives the seconds until the next look, or None for none without an event."""
    try:
        document = await port.get(kinds.OF[key.kind], namespace=key.namespace, name=key.name)
    except errors.NotFoundError:
        gauges.forget(key)
        return None
    if key.kind == names.RESIDUAL:
        return await _residual(port, document, network=network, now=now)
    return await _refresh(port, document, network=network, now=now)


async def _refresh(port: Port, document: Document, *, network: Network | None, now: datetime.datetime) -> float | None:
    seen = await gather.refresh(port, document, now=now)
    this: Pass[status.RefreshStatus, RefreshPlan] = Pass(
        seen=seen,
        before=seen.status,
        status=lambda plan: report.refresh(plan, seen, now),
        event_records=report.event_records,
        gauge=lambda after: gauges.refresh(seen.meta, seen.status, after),
        network=network,
        now=now,
    )
    return await _carry_out(port, document, this, decide.decide(seen, now))


async def _residual(port: Port, document: Document, *, network: Network | None, now: datetime.datetime) -> float | None:
    seen = await gather.residual(port, document, now=now)
    this: Pass[status.ResidualStatus, ResidualPlan] = Pass(
        seen=seen,
        before=seen.status,
        status=lambda plan: report.residual(plan, seen, now),
        event_records=report.residual_event_records,
        gauge=lambda after: gauges.residual(seen.meta, after),
        network=network,
        now=now,
    )
    return await _carry_out(port, document, this, extraction.decide(seen, now))


async def _carry_out(port: Port, document: Document, this: Pass[S, P], plan: P) -> float | None:
    """Status, actions, events. A refusal stands in the status until a pass could do all that it wanted.

    It is not taken back while the same write is tried again, so a write that stays refused is told once.
    """
    refusal = report.refusal(this.before) if plan.actions else None
    told = this.status(report.refused(plan, refusal) if refusal else plan)
    document = await _record(port, document, told)
    scene = Scene(seen=this.seen, document=document, network=this.network, now=this.now)
    try:
        for action in plan.actions:
            LOGGER.info("%s", action)
            await perform(port, action, scene)
    except errors.ApiError as error:
        # A quota, a missing permission, a name taken: nothing here mends it, so somebody must be told.
        is_refused = isinstance(error, errors.InvalidError | errors.ForbiddenError)
        told = this.status(report.refused(plan, str(error))) if is_refused else told
        # The status is written, so the next pass will see none of this as new.
        await _tell(port, document, this, told)
        await _record(port, document, told)
        raise
    else:
        told = this.status(plan)
        if refusal:
            # Gone, or changed by what was just done, as by the finalizer: then the next pass takes it back.
            with contextlib.suppress(errors.NotFoundError, errors.ConflictError):
                await _record(port, document, told)
        await _tell(port, document, this, told)
    finally:
        _measure(this, told)
    return plan.requeue_after_seconds


def _measure(this: Pass[S, P], told: S) -> None:
    try:
        this.gauge(told)
    except Exception:
        # A figure for people must neither end a pass nor hide how it ended.
        LOGGER.exception("metrics of %s could not be set", this.seen.meta.name)


async def _record(port: Port, document: Document, after: status.RefreshStatus | status.ResidualStatus) -> Document:
    rendered = status.render(after)
    if rendered == document.get("status"):
        return document
    return await port.put_status(kinds.OF[document["kind"]], document | {"status": rendered})


async def _tell(port: Port, document: Document, this: Pass[S, P], after: S) -> None:
    for record in this.event_records(this.before, after):
        await events.emit(port, _event(document["kind"], this.seen.meta, record), now=this.now)


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
