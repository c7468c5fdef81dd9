"""One pass over one object: gather, decide, report, perform.

The status is written before anything is done, so that every child was announced by a
record before it existed; after each single write the process may die and the next pass
goes on from there. Events follow the writes, metrics follow everything.
"""

import datetime
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from modelrefresh import errors, gauges, report
from modelrefresh.api import names, status
from modelrefresh.api.conditions import Reason
from modelrefresh.cluster import events, gather, kinds
from modelrefresh.cluster.perform import perform
from modelrefresh.cluster.port import Document, Port
from modelrefresh.cluster.queue import Key
from modelrefresh.plan import decide, extraction
from modelrefresh.plan.actions import Action
from modelrefresh.plan.observed import Meta, ResidualObserved, Seen
from modelrefresh.report import Happening

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a pass saw and what it says of it."""

    document: Document
    seen: Seen | ResidualObserved
    after: status.RefreshStatus | status.ResidualStatus
    happenings: Sequence[Happening]


async def one_pass(port: Port, key: Key, *, now: datetime.datetime) -> float | None:
    """Bring one object one step further; gives the seconds until the next look, or None for none without an event."""
    try:
        document = await port.get(kinds.OF[key.kind], namespace=key.namespace, name=key.name)
    except errors.NotFoundError:
        gauges.forget(key)
        return None
    if key.kind == names.RESIDUAL:
        return await _residual(port, document, now=now)
    return await _refresh(port, document, now=now)


async def _refresh(port: Port, document: Document, *, now: datetime.datetime) -> float | None:
    seen = await gather.refresh(port, document)
    plan = decide.decide(seen, now)
    after = report.refresh(plan, seen, now)
    told = Told(document=document, seen=seen, after=after, happenings=report.happenings(seen.status, after))
    await _write(port, told, plan.actions, now=now)
    gauges.refresh(seen.meta, seen.status, after)
    return plan.wake_seconds


async def _residual(port: Port, document: Document, *, now: datetime.datetime) -> float | None:
    seen = await gather.residual(port, document)
    plan = extraction.decide(seen, now)
    after = report.residual(plan, seen, now)
    told = Told(document=document, seen=seen, after=after, happenings=report.residual_happenings(seen.status, after))
    await _write(port, told, plan.actions, now=now)
    gauges.residual(seen.meta, after)
    return plan.wake_seconds


async def _write(port: Port, told: Told, actions: Sequence[Action], *, now: datetime.datetime) -> None:
    document, kind = told.document, kinds.OF[told.document["kind"]]
    rendered = status.render(told.after)
    if rendered != document.get("status"):
        document = await port.put_status(kind, document | {"status": rendered})
    for action in actions:
        LOGGER.info("%s", action)
        try:
            await perform(port, action, told.seen, document, now=now)
        except (errors.InvalidError, errors.ForbiddenError) as error:
            # A quota, a missing permission, a name taken: nothing here mends it, so somebody must be told.
            refused = Happening(reason=Reason.WRITE_REFUSED, message=str(error), warning=True)
            await events.emit(port, _event(told.seen.meta, kind.kind, refused), now=now)
            raise
    for happening in told.happenings:
        await events.emit(port, _event(told.seen.meta, kind.kind, happening), now=now)


def _event(meta: Meta, kind: str, happening: Happening) -> events.Event:
    return events.Event(
        kind=kind,
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        severity=events.Severity.WARNING if happening.warning else events.Severity.NORMAL,
        reason=happening.reason,
        message=happening.message,
    )
