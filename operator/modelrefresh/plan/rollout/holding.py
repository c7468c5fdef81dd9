"""Who may change a target, and who does: its owner says the first, one refresh at a time says the second.

The consent is an annotation of the target's owner (docs/decisions/0027); the hold is one of the operator's, by uid,
so that neither a name made anew nor a shortened one takes a target over.
"""

import datetime

from modelrefresh.api.conditions import Reason
from modelrefresh.plan.actions import Hold, Plan, RefreshPlan, StatusSummary
from modelrefresh.plan.observed import Meta, ObservedTarget, ServedRefresh


def is_allowed(meta: Meta, target: ObservedTarget) -> bool:
    """Whether the target's owner lets this refresh change it; one that it rolled before has consented by that."""
    return _is_named(meta, target) or target.labelled == meta.name


def hold(served: ServedRefresh, _: datetime.datetime) -> RefreshPlan | None:
    """Nothing is begun before the target says that this refresh rolls it; of two that come at once one gets it."""
    target = served.target
    if target.holder == served.meta.uid:
        return None
    before = served.meta.name if not _is_named(served.meta, target) else None
    action = Hold(kind=target.kind, name=target.name, uid=target.uid, version=target.version, allow=before)
    summary = StatusSummary(reason=Reason.PENDING, message=f'takes {target.kind} "{target.name}"', reconciling=True)
    return Plan(status=served.status, summary=summary, actions=(action,), requeue_after_seconds=0.0)


def _is_named(meta: Meta, target: ObservedTarget) -> bool:
    return bool({"*", meta.name} & target.allowed)
