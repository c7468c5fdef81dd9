"""The way of a version into the Deployment, and back when it does not become available.

A version gets here only by `promote` (every gate passed) or `install` (the stock model,
version zero, when nothing serves yet). A person who moves the Deployment by hand, as with
`kubectl rollout undo`, is right: their choice is adopted and the undone digest is held.
"""

import dataclasses
import datetime

from modelrefresh.api import names
from modelrefresh.api.conditions import Reason
from modelrefresh.api.rollout import Stock
from modelrefresh.api.status.refresh import RefreshStatus, Rollout, VersionRef
from modelrefresh.api.status.run import Outcome, Run
from modelrefresh.contract import artifacts
from modelrefresh.plan import prerequisites
from modelrefresh.plan.actions import Action, MarkServed, Plan, RefreshPlan, Serve, StatusSummary
from modelrefresh.plan.observed import Hindrance, ObservedRefresh, ObservedVersion, ServedRefresh
from modelrefresh.plan.rollout import rollout_state, serving, trial
from modelrefresh.plan.rollout.rollout_state import RolloutState
from modelrefresh.plan.runs import run_end
from modelrefresh.plan.runs.run_end import End

_HINDERED_SECONDS = 30.0
"""How often a rollout is looked at that is hindered; a change of the Deployment is an event anyway."""


def install(served: ServedRefresh, now: datetime.datetime) -> RefreshPlan | None:
    """Nothing serves yet: adopt what the Deployment already serves, else roll out version zero."""
    status = served.status
    if status.live is not None or status.rollout is not None:
        return None
    found = _found(served)
    if found is not None:
        summary = StatusSummary(
            reason=Reason.SERVING, message=f"found {found.version} in the {served.target.kind}", reconciling=True
        )
        return Plan(status=status.evolve(live=found.evolve(since=now)), summary=summary, requeue_after_seconds=0.0)
    if status.stock is None or served.spec.rollout.stock is Stock.NONE:
        return None
    return _begin(served, status.stock, now)


def _found(served: ServedRefresh) -> VersionRef | None:
    """What the Deployment names: a version of ours, or one whose ModelVersion went with an earlier ModelRefresh.

    The latter was rolled out by us once and serves now; to put the stock model in its place would be a step back.
    """
    digest, known = served.target.digest, rollout_state.chosen(served)
    if digest in served.status.held:
        # A first candidate that never became available: it is named, and serves nothing.
        return None
    if known is not None:
        return VersionRef(version=known.name, digest=known.digest)
    if digest is None or any(item.digest == digest for item in served.versions):
        return None
    return VersionRef(version=serving.name_of(served, digest), digest=digest)


def promote(served: ServedRefresh, run: Run, to: VersionRef, now: datetime.datetime) -> RefreshPlan:
    """Roll out a candidate that passed every gate."""
    status = served.status
    if status.live is not None and status.live.digest == to.digest:
        text = f"{to.version} passed every gate and was rolled out before"
        ended = run_end.close(status, run, End(outcome=Outcome.PROMOTED, message=text), now)
        summary = serving.ended(dataclasses.replace(served, status=ended)) or StatusSummary(
            reason=Reason.PROMOTED, message=text
        )
        return Plan(status=ended, summary=summary, requeue_after_seconds=0.0)
    if to.digest in status.held:
        text = f"{to.version} passed, but its rollout failed or was undone before; it is not tried again by itself"
        ended = run_end.close(
            status, run, End(outcome=Outcome.ROLLED_BACK, message=text, reason=Reason.PROMOTION_HELD), now
        )
        return Plan(
            status=ended, summary=StatusSummary(reason=Reason.PROMOTION_HELD, message=text), requeue_after_seconds=0.0
        )
    return _begin(served, to, now)


def advance(observed: ObservedRefresh, now: datetime.datetime) -> RefreshPlan | None:
    """A rollout is under way: point, wait, settle, or go back.

    So also while the refresh is suspended or lacks what only stages need, such as its residual: a candidate that does
    not start must not stay in the Deployment for that long.
    """
    rollout, served = observed.status.rollout, prerequisites.served(observed)
    if rollout is None or served is None:
        return None
    if not served.spec.suspend:
        return _advance(served, rollout, now)
    if not rollout.is_rollback and not rollout_state.is_loaded(served, rollout.to):
        # What is on its way ends; nothing new is begun, and nobody's hand is contradicted.
        return None
    return prerequisites.without_work(_advance(served, rollout, now), observed.jobs, now)


def _advance(served: ServedRefresh, rollout: Rollout, now: datetime.datetime) -> RefreshPlan:
    rollout = rollout_state.clocked(served, rollout, now)
    state = rollout_state.find(rollout_state.facts_of(served, rollout, now))
    if state is RolloutState.AVAILABLE:
        return _settle(served, rollout, now)
    if state is RolloutState.UNDONE_BY_USER:
        return _undone(served, rollout, now)
    if state is RolloutState.HINDERED and (hindrance := trial.hindrance(served, rollout)) is not None:
        return _hindered(served, rollout, hindrance)
    if state is RolloutState.DEADLINE_EXCEEDED:
        return _give_up(served, rollout, now)
    if state is RolloutState.CONFLICT:
        return _conflict(served, rollout.to)
    return _wait(served, rollout, state)


def adopt_user_choice(served: ServedRefresh, now: datetime.datetime) -> RefreshPlan | None:
    """Nothing is under way, yet the Deployment names another version than the live one."""
    live, digest = served.status.live, served.target.digest
    if live is None:
        return None
    if digest == live.digest:
        # A container that was renamed, or a mount that was moved, has lost what we gave it.
        lost = not rollout_state.is_loaded(served, live) and not rollout_state.is_foreign(served)
        return _begin(served, live, now, is_rollback=True) if lost else None
    known = rollout_state.chosen(served)
    elsewhere = any(item.digest == live.digest and _is_elsewhere(served, item) for item in served.versions)
    if known is None or elsewhere:
        return _begin(served, live, now, is_rollback=True)
    chosen = VersionRef(version=known.name, digest=known.digest, since=now)
    status = served.status.evolve(
        live=chosen, previous=live, held=_hold(served.status, live.digest, release=chosen.digest)
    )
    return Plan(
        status=status,
        summary=StatusSummary(reason=Reason.SERVING, message=serving.by_hand(status)),
        requeue_after_seconds=0.0,
    )


def report_conflict(served: ServedRefresh, _: datetime.datetime) -> RefreshPlan | None:
    """Something else says what the container loads: nobody knows what serves, and two writers would never end."""
    live = served.status.live
    return _conflict(served, live) if live is not None and rollout_state.is_foreign(served) else None


def record_served(served: ServedRefresh, _: datetime.datetime) -> RefreshPlan | None:
    """Each ModelVersion says whether it is the one that serves."""
    live = served.status.live
    stale = [
        item
        for item in served.versions
        if live is not None and (item.served != (item.digest == live.digest) or _is_elsewhere(served, item))
    ]
    if live is None or not stale:
        return None
    marks = tuple(
        MarkServed(name=item.name, target=served.target.name if item.digest == live.digest else None) for item in stale
    )
    summary = StatusSummary(
        reason=Reason.SERVING, message=serving.describe(live.version, served.target), reconciling=True
    )
    return Plan(status=served.status, summary=summary, actions=marks, requeue_after_seconds=0.0)


def _is_elsewhere(served: ServedRefresh, version: ObservedVersion) -> bool:
    """Whether it was served by a Deployment that is no longer the target."""
    return version.target not in (None, served.target.name)


def _begin(served: ServedRefresh, to: VersionRef, now: datetime.datetime, *, is_rollback: bool = False) -> RefreshPlan:
    rollout = Rollout(to=to, start_time=now, is_rollback=is_rollback)
    summary = StatusSummary(reason=Reason.ROLLING_OUT, message=f"rolling out {to.version}", reconciling=True)
    return Plan(
        status=served.status.evolve(rollout=rollout),
        summary=summary,
        actions=(_serve(served, to),),
        requeue_after_seconds=5.0,
    )


def _settle(served: ServedRefresh, rollout: Rollout, now: datetime.datetime) -> RefreshPlan:
    status = served.status
    # Going back, it has been the live one all along.
    to = rollout.to.evolve(since=rollout.to.since if rollout.is_rollback else now)
    before = status.previous if rollout.is_rollback else status.live
    status = status.evolve(live=to, previous=before, rollout=None)
    run = status.run
    if run is not None and rollout_state.is_of_run(served.status):
        status = run_end.close(
            status,
            run,
            End(outcome=Outcome.PROMOTED, message=f"{to.version} passed every gate and was rolled out"),
            now,
        )
        status = status.evolve(freshness=run_end.freshness(run) or status.freshness)
    summary = serving.ended(dataclasses.replace(served, status=status)) or StatusSummary(
        reason=Reason.SERVING, message=serving.describe(to.version, served.target)
    )
    # What `record_served` and `opening.idle` would say next: one status for the end of a rollout instead of three.
    marked = record_served(dataclasses.replace(served, status=status), now)
    return Plan(status=status, summary=summary, actions=marked.actions if marked else (), requeue_after_seconds=0.0)


def _undone(served: ServedRefresh, rollout: Rollout, now: datetime.datetime) -> RefreshPlan:
    text = f"the rollout of {rollout.to.version} was undone by hand; it is not tried again by itself"
    return _abandon(served, rollout.to.digest, text, now)


def _give_up(served: ServedRefresh, rollout: Rollout, now: datetime.datetime) -> RefreshPlan:
    live, target, seconds = served.status.live, served.target, trial.allowed_seconds(served)
    then = f'nothing served before, so {target.kind} "{target.name}" still names it; it is not tried again by itself'
    text = (
        f"{rollout.to.version} was not available within {seconds:.0f} s ({target.message}); "
        f"{f'going back to {live.version}' if live else then}"
    )
    plan = _abandon(served, rollout.to.digest, text, now, reason=Reason.PROGRESS_DEADLINE_EXCEEDED)
    if live is None:
        return plan
    back = Rollout(to=live, start_time=now, is_rollback=True)
    return Plan(
        status=plan.status.evolve(rollout=back),
        summary=plan.summary,
        actions=(_serve(served, live),),
        requeue_after_seconds=5.0,
    )


def _abandon(
    served: ServedRefresh, digest: str, text: str, now: datetime.datetime, *, reason: Reason = Reason.ROLLED_BACK
) -> RefreshPlan:
    chosen = rollout_state.chosen(served)
    held = _hold(served.status, digest, release=chosen.digest if chosen else None)
    status = served.status.evolve(rollout=None, held=held)
    if rollout_state.is_of_run(served.status) and status.run is not None:
        status = run_end.close(status, status.run, End(outcome=Outcome.ROLLED_BACK, message=text, reason=reason), now)
    return Plan(
        status=status, summary=StatusSummary(reason=Reason.ROLLED_BACK, message=text), requeue_after_seconds=0.0
    )


def _hindered(served: ServedRefresh, rollout: Rollout, hindrance: Hindrance) -> RefreshPlan:
    text = f"rolling out {rollout.to.version}: {hindrance.message}; no time counts against it meanwhile"
    summary = StatusSummary(reason=hindrance.reason, message=text, reconciling=True, stalled=hindrance.stalled)
    return Plan(status=served.status.evolve(rollout=rollout), summary=summary, requeue_after_seconds=_HINDERED_SECONDS)


def _wait(served: ServedRefresh, rollout: Rollout, state: RolloutState) -> RefreshPlan:
    text = f"rolling out {rollout.to.version}: {served.target.message or f'waiting for the {served.target.kind}'}"
    late = state is RolloutState.OVERDUE
    reason = Reason.PROGRESS_DEADLINE_EXCEEDED if late else Reason.ROLLING_OUT
    status = served.status.evolve(rollout=rollout)
    actions: tuple[Action, ...] = () if rollout_state.is_loaded(served, rollout.to) else (_serve(served, rollout.to),)
    return Plan(
        status=status,
        summary=StatusSummary(reason=reason, message=text, reconciling=not late, stalled=late),
        actions=actions,
        requeue_after_seconds=5.0,
    )


def _serve(served: ServedRefresh, to: VersionRef) -> Serve:
    return Serve(
        kind=served.target.kind,
        name=served.target.name,
        uid=served.target.uid,
        container=served.container,
        path=_path(served, to),
        version=names.short(to.version),
        digest=to.digest,
    )


def _path(served: ServedRefresh, to: VersionRef) -> str:
    """Where the version lies inside the container."""
    return f"{served.target.mounts[served.container].rstrip('/')}/{artifacts.VERSIONS}/{to.digest}"


def _conflict(served: ServedRefresh, to: VersionRef) -> RefreshPlan:
    text = (
        f'container "{served.container}" of {served.target.kind} "{served.target.name}" has '
        f"{names.MODEL_VARIABLE}={served.target.models[served.container]}, expected {_path(served, to)}; take the "
        "variable out of what else sets it (a manifest in Git, kubectl set env)"
    )
    summary = StatusSummary(reason=Reason.TARGET_CONFLICT, message=text, stalled=True)
    return Plan(status=served.status, summary=summary, requeue_after_seconds=30.0)


def _hold(status: RefreshStatus, digest: str, *, release: str | None = None) -> tuple[str, ...]:
    kept = [item for item in status.held if item not in (digest, release)]
    return (digest, *kept)
