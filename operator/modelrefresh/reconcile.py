"""One pass over one object: gather, decide, report, perform.

The status is written before anything is done, so that every child was announced by a
record before it existed; after each single write the process may die and the next pass
goes on from there. Metrics follow the status, events follow the other writes.
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
from modelrefresh.plan.observed import ResidualObserved, Seen
from modelrefresh.report import Happening

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a pass saw and has recorded."""

    document: Document
    """The object as it is after the write."""
    seen: Seen | ResidualObserved
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
    document = await _record(port, document, after)
    gauges.refresh(seen.meta, seen.status, after)
    recorded = Recorded(document=document, seen=seen, happenings=report.happenings(seen.status, after))
    await _act(port, recorded, plan.actions, now=now)
    return plan.wake_seconds


async def _residual(port: Port, document: Document, *, now: datetime.datetime) -> float | None:
    seen = await gather.residual(port, document)
    plan = extraction.decide(seen, now)
    after = report.residual(plan, seen, now)
    document = await _record(port, document, after)
    gauges.residual(seen.meta, after)
    recorded = Recorded(document=document, seen=seen, happenings=report.residual_happenings(seen.status, after))
    await _act(port, recorded, plan.actions, now=now)
    return plan.wake_seconds


async def _record(port: Port, document: Document, after: status.RefreshStatus | status.ResidualStatus) -> Document:
    rendered = status.render(after)
    if rendered == document.get("status"):
        return document
    return await port.put_status(kinds.OF[document["kind"]], document | {"status": rendered})


async def _act(port: Port, recorded: Recorded, actions: Sequence[Action], *, now: datetime.datetime) -> None:
    try:
        for action in actions:
            LOGGER.info("%s", action)
            await perform(port, action, recorded.seen, recorded.document, now=now)
    except errors.ApiError as error:
        # The status is written, so the next pass will see none of this as new.
        await _tell(port, recorded, (*recorded.happenings, *_refusal(error)), now=now)
        raise
    await _tell(port, recorded, recorded.happenings, now=now)


async def _tell(port: Port, recorded: Recorded, happenings: Sequence[Happening], *, now: datetime.datetime) -> None:
    for happening in happenings:
        await events.emit(port, _event(recorded, happening), now=now)


def _refusal(error: errors.ApiError) -> tuple[Happening, ...]:
    """A quota, a missing permission, a name taken: nothing here mends it, so somebody must be told."""
    if isinstance(error, errors.InvalidError | errors.ForbiddenError):
        return (Happening(reason=Reason.WRITE_REFUSED, message=str(error), warning=True),)
    return ()


def _event(recorded: Recorded, happening: Happening) -> events.Event:
    meta = recorded.seen.meta
    return events.Event(
        kind=recorded.document["kind"],
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        severity=events.Severity.WARNING if happening.warning else events.Severity.NORMAL,
        reason=happening.reason,
        message=happening.message,
    )
