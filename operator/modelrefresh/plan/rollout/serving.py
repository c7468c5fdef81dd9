"""What is said of what serves, so that no word names a version that does not.

The record of an ended run stays as it was; what serves may have changed since by a person's hand.
"""

from modelrefresh.api import names
from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.api.status.run import Outcome
from modelrefresh.plan.actions import StatusSummary
from modelrefresh.plan.observed import ObservedTarget, ServedRefresh


def name_of(served: ServedRefresh, digest: str) -> str:
    """Name of the ModelVersion with this content: the one that is there, else the one that will be made."""
    there = (item.name for item in served.versions if item.digest == digest)
    return next(there, names.version_name(refresh=served.meta.name, uid=served.meta.uid, digest=digest))


def describe(version: str, target: ObservedTarget | None) -> str:
    """That a version serves, or why nothing does although it is set."""
    if target is not None and target.replicas == 0:
        return f'{version} is set in {target.kind} "{target.name}", which has no replicas: nothing is served'
    return f"{version} serves"


def by_hand(status: RefreshStatus) -> str:
    """That what is live is a person's choice, and what they undid."""
    live, before = status.live, status.previous
    held = f"; {before.version} is held back" if before is not None and before.digest in status.held else ""
    return f"{live.version if live else 'nothing'} was chosen by hand{held}"


def ended(served: ServedRefresh) -> StatusSummary | None:
    """What the last run's end is told as; a version that no longer serves is not told to."""
    status, run = served.status, served.status.run
    if run is None or run.outcome is None:
        return None
    live, candidate = status.live, status.candidate
    promoted, named = run.outcome is Outcome.PROMOTED, run.outcome in (Outcome.PROMOTED, Outcome.ROLLED_BACK)
    is_later = live is not None and live.since is not None and run.end_time is not None and live.since > run.end_time
    if live is not None and named and (is_later or (promoted and candidate and candidate.digest != live.digest)):
        return StatusSummary(reason=Reason.SERVING, message=by_hand(status))
    if live is not None and promoted:
        text = f"{describe(live.version, served.target)}; it passed every gate"
        return StatusSummary(reason=Reason.PROMOTED, message=text)
    return StatusSummary(reason=Reason(run.outcome.value), message=run.message, stalled=run.outcome is Outcome.FAILED)
