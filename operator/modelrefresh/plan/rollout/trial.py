"""Whether a version on its way into the target is being tried: what hinders it, and how long it may take.

Time counts against a candidate only while its pods could show what it is worth. A freeze by a
person, a quota, a missing node or registry say nothing about it (docs/decisions/0019).
"""

from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.refresh import Rollout
from modelrefresh.plan.observed import Hindrance, ServedRefresh


def hindrance(served: ServedRefresh, rollout: Rollout) -> Hindrance | None:
    """What keeps the version from being tried, by no fault of its own."""
    if served.target.hindrance is not None or not is_unproven(served, rollout):
        return served.target.hindrance
    named = f'{served.target.kind} "{served.target.name}"'
    text = f"{named} has no replicas; scale it up so that the candidate can show itself"
    return Hindrance(reason=Reason.TARGET_SCALED_TO_ZERO, message=text, stalled=False)


def is_unproven(served: ServedRefresh, rollout: Rollout) -> bool:
    """A candidate in a target without replicas: nothing has shown that it starts, and nothing it would replace."""
    stock = served.status.stock
    is_proven = rollout.is_rollback or (stock is not None and rollout.to.digest == stock.digest)
    return served.target.replicas == 0 and not is_proven


def allowed_seconds(served: ServedRefresh) -> float:
    """How long a version may take; a pod that starts at once is not available before `minReadySeconds`."""
    return served.spec.rollout.progress_deadline_seconds + served.target.ready_seconds
