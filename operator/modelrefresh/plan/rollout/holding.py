"""Who may change a Deployment, and who does: its owner says the first, one refresh at a time says the second.

The consent is an annotation of the Deployment's owner (docs/decisions/0027); the hold is one of the operator's, by uid,
so that neither a name made anew nor a shortened one takes a Deployment over.
"""

import datetime

from modelrefresh.api.conditions import Reason
from modelrefresh.plan.actions import Hold, Plan, RefreshPlan, StatusSummary
from modelrefresh.plan.observed import Meta, ObservedDeployment, Serving


def is_allowed(meta: Meta, deployment: ObservedDeployment) -> bool:
    """Whether the Deployment's owner lets this refresh change it; one that it rolled before has consented by that."""
    return _is_named(meta, deployment) or deployment.labelled == meta.name


def hold(at: Serving, _: datetime.datetime) -> RefreshPlan | None:
    """Nothing is begun before the Deployment says that this refresh rolls it; of two that come at once one gets it."""
    deployment = at.deployment
    if deployment.holder == at.meta.uid:
        return None
    before = at.meta.name if not _is_named(at.meta, deployment) else None
    action = Hold(deployment=deployment.name, uid=deployment.uid, version=deployment.version, allow=before)
    summary = StatusSummary(reason=Reason.PENDING, message=f'takes Deployment "{deployment.name}"', reconciling=True)
    return Plan(status=at.status, summary=summary, actions=(action,), requeue_after_seconds=0.0)


def _is_named(meta: Meta, deployment: ObservedDeployment) -> bool:
    return bool({"*", meta.name} & deployment.allowed)
