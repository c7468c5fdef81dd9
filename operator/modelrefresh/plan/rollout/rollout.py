"""The way of a version into the Deployment, and back when it does not become available.

A version gets here only by `promote` (every gate passed) or `install` (the stock model,
version zero, when nothing serves yet). A person who moves the Deployment by hand, as with
`kubectl rollout undo`, is right: their choice is adopted and the undone digest is held.
"""

import dataclasses
import datetime

from modelrefresh.api import names
from modelrefresh.api.conditions import Reason
from modelrefresh.api.run_status import Outcome, Run
from modelrefresh.api.status import RefreshStatus, Rollout, VersionRef
from modelrefresh.contract import artifacts
from modelrefresh.plan import prerequisites
from modelrefresh.plan.actions import Action, MarkServed, Plan, RefreshPlan, Serve, StatusSummary
from modelrefresh.plan.observed import Hindrance, ObservedRefresh, ObservedVersion, Serving
from modelrefresh.plan.rollout import rollout_state, serving, trial
from modelrefresh.plan.rollout.rollout_state import RolloutState
from modelrefresh.plan.runs import run_end
from modelrefresh.plan.runs.run_end import End

_HELD_LIMIT = 10
_HINDERED_SECONDS = 30.0
"""How often a rollout is looked at that is hindered; a change of the Deployment is an event anyway."""


def install(at: Serving, now: datetime.datetime) -> RefreshPlan | None:
    """Nothing serves yet: adopt what the Deployment already serves, else roll out version zero."""
    status = at.status
    if status.live is not None or status.rollout is not None:
        return None
    found = _found(at)
    if found is not None:
        summary = StatusSummary(
            reason=Reason.SERVING, message=f"found {found.version} in the Deployment", reconciling=True
        )
        return Plan(status=status.evolve(live=found.evolve(since=now)), summary=summary, requeue_after_seconds=0.0)
    return _begin(at, status.stock, now) if status.stock is not None else None


def _found(at: Serving) -> VersionRef | None:
    """What the Deployment names: a version of ours, or one whose ModelVersion went with an earlier ModelRefresh.

    The latter was rolled out by us once and serves now; to put the stock model in its place would be a step back.
    """
    digest, known = at.deployment.digest, rollout_state.chosen(at)
    if known is not None:
        return VersionRef(version=known.name, digest=known.digest)
    if digest is None or any(item.digest == digest for item in at.versions):
        return None
    return VersionRef(version=serving.name_of(at, digest), digest=digest)


def promote(at: Serving, run: Run, target: VersionRef, now: datetime.datetime) -> RefreshPlan:
    """Roll out a candidate that passed every gate."""
    status = at.status
    if status.live is not None and status.live.digest == target.digest:
        text = f"{target.version} passed every gate and was rolled out before"
        ended = run_end.close(status, run, End(outcome=Outcome.PROMOTED, message=text), now)
        summary = serving.ended(dataclasses.replace(at, status=ended)) or StatusSummary(
            reason=Reason.PROMOTED, message=text
        )
        return Plan(status=ended, summary=summary, requeue_after_seconds=0.0)
    if target.digest in status.held:
        text = f"{target.version} passed, but its rollout failed or was undone before; it is not tried again by itself"
        ended = run_end.close(
            status, run, End(outcome=Outcome.ROLLED_BACK, message=text, reason=Reason.PROMOTION_HELD), now
        )
        return Plan(
            status=ended, summary=StatusSummary(reason=Reason.PROMOTION_HELD, message=text), requeue_after_seconds=0.0
        )
    return _begin(at, target, now)


def advance(observed: ObservedRefresh, now: datetime.datetime) -> RefreshPlan | None:
    """A rollout is under way: point, wait, settle, or go back.

    So also while the refresh is suspended or lacks what only stages need, such as its residual: a candidate that does
    not start must not stay in the Deployment for that long.
    """
    rollout, at = observed.status.rollout, prerequisites.serving(observed)
    if rollout is None or at is None:
        return None
    if not at.spec.suspend:
        return _advance(at, rollout, now)
    if not rollout.is_rollback and not rollout_state.is_loaded(at, rollout.target):
        # What is on its way ends; nothing new is begun, and nobody's hand is contradicted.
        return None
    return prerequisites.without_work(_advance(at, rollout, now), observed.jobs, now)


def _advance(at: Serving, rollout: Rollout, now: datetime.datetime) -> RefreshPlan:
    rollout = rollout_state.clocked(at, rollout, now)
    state, live = rollout_state.find(rollout_state.facts_of(at, rollout, now)), at.status.live
    if state is RolloutState.AVAILABLE:
        return _settle(at, rollout, now)
    if state is RolloutState.UNDONE_BY_USER:
        return _undone(at, rollout, now)
    if state is RolloutState.HINDERED and (hindrance := trial.hindrance(at, rollout)) is not None:
        return _hindered(at, rollout, hindrance)
    if state is RolloutState.DEADLINE_EXCEEDED and live is not None:
        return _go_back(at, rollout, live, now)
    if state is RolloutState.CONFLICT:
        return _conflict(at, rollout.target)
    return _wait(at, rollout, state)


def adopt_user_choice(at: Serving, now: datetime.datetime) -> RefreshPlan | None:
    """Nothing is under way, yet the Deployment names another version than the live one."""
    live, digest = at.status.live, at.deployment.digest
    if live is None:
        return None
    if digest == live.digest:
        # A container that was renamed, or a mount that was moved, has lost what we gave it.
        lost = not rollout_state.is_loaded(at, live) and not rollout_state.is_foreign(at)
        return _begin(at, live, now, is_rollback=True) if lost else None
    known = rollout_state.chosen(at)
    elsewhere = any(item.digest == live.digest and _is_elsewhere(at, item) for item in at.versions)
    if known is None or elsewhere:
        return _begin(at, live, now, is_rollback=True)
    chosen = VersionRef(version=known.name, digest=known.digest, since=now)
    status = at.status.evolve(live=chosen, previous=live, held=_hold(at.status, live.digest, release=chosen.digest))
    return Plan(
        status=status,
        summary=StatusSummary(reason=Reason.SERVING, message=serving.by_hand(status)),
        requeue_after_seconds=0.0,
    )


def report_conflict(at: Serving, _: datetime.datetime) -> RefreshPlan | None:
    """Something else says what the container loads: nobody knows what serves, and two writers would never end."""
    live = at.status.live
    return _conflict(at, live) if live is not None and rollout_state.is_foreign(at) else None


def record_served(at: Serving, _: datetime.datetime) -> RefreshPlan | None:
    """Each ModelVersion says whether it is the one that serves."""
    live = at.status.live
    stale = [
        item
        for item in at.versions
        if live is not None and (item.served != (item.digest == live.digest) or _is_elsewhere(at, item))
    ]
    if live is None or not stale:
        return None
    marks = tuple(
        MarkServed(name=item.name, deployment=at.deployment.name if item.digest == live.digest else None)
        for item in stale
    )
    summary = StatusSummary(reason=Reason.SERVING, message=serving.told(live.version, at.deployment), reconciling=True)
    return Plan(status=at.status, summary=summary, actions=marks, requeue_after_seconds=0.0)


def _is_elsewhere(at: Serving, version: ObservedVersion) -> bool:
    """Whether it was served by a Deployment that is no longer the target."""
    return version.deployment not in (None, at.deployment.name)


def _begin(at: Serving, target: VersionRef, now: datetime.datetime, *, is_rollback: bool = False) -> RefreshPlan:
    rollout = Rollout(target=target, start_time=now, is_rollback=is_rollback)
    summary = StatusSummary(reason=Reason.ROLLING_OUT, message=f"rolling out {target.version}", reconciling=True)
    return Plan(
        status=at.status.evolve(rollout=rollout),
        summary=summary,
        actions=(_serve(at, target),),
        requeue_after_seconds=5.0,
    )


def _settle(at: Serving, rollout: Rollout, now: datetime.datetime) -> RefreshPlan:
    status = at.status
    # Going back, it has been the live one all along.
    target = rollout.target.evolve(since=rollout.target.since if rollout.is_rollback else now)
    before = status.previous if rollout.is_rollback else status.live
    status = status.evolve(live=target, previous=before, rollout=None)
    run = status.run
    if run is not None and _is_of_run(at.status):
        status = run_end.close(
            status,
            run,
            End(outcome=Outcome.PROMOTED, message=f"{target.version} passed every gate and was rolled out"),
            now,
        )
        status = status.evolve(freshness=run_end.freshness(run) or status.freshness)
    summary = serving.ended(dataclasses.replace(at, status=status)) or StatusSummary(
        reason=Reason.SERVING, message=serving.told(target.version, at.deployment)
    )
    # What `record_served` and `runs.idle` would say next: one status for the end of a rollout instead of three.
    marked = record_served(dataclasses.replace(at, status=status), now)
    return Plan(status=status, summary=summary, actions=marked.actions if marked else (), requeue_after_seconds=0.0)


def _undone(at: Serving, rollout: Rollout, now: datetime.datetime) -> RefreshPlan:
    digest = rollout.target.digest
    text = f"the rollout of {rollout.target.version} was undone by hand; it is not tried again by itself"
    return _abandon(at, digest, text, now)


def _go_back(at: Serving, rollout: Rollout, live: VersionRef, now: datetime.datetime) -> RefreshPlan:
    seconds = trial.allowed_seconds(at)
    text = (
        f"{rollout.target.version} was not available within {seconds:.0f} s ({at.deployment.message}); "
        f"going back to {live.version}"
    )
    plan = _abandon(at, rollout.target.digest, text, now, reason=Reason.PROGRESS_DEADLINE_EXCEEDED)
    back = Rollout(target=live, start_time=now, is_rollback=True)
    return Plan(
        status=plan.status.evolve(rollout=back),
        summary=plan.summary,
        actions=(_serve(at, live),),
        requeue_after_seconds=5.0,
    )


def _abandon(
    at: Serving, digest: str, text: str, now: datetime.datetime, *, reason: Reason = Reason.ROLLED_BACK
) -> RefreshPlan:
    status = at.status.evolve(rollout=None, held=_hold(at.status, digest))
    if _is_of_run(at.status) and status.run is not None:
        status = run_end.close(status, status.run, End(outcome=Outcome.ROLLED_BACK, message=text, reason=reason), now)
    return Plan(
        status=status, summary=StatusSummary(reason=Reason.ROLLED_BACK, message=text), requeue_after_seconds=0.0
    )


def _is_of_run(status: RefreshStatus) -> bool:
    """The rollout under way is that of the open run's candidate."""
    rollout, is_open = status.rollout, status.run is not None and status.run.outcome is None
    return is_open and rollout is not None and not rollout.is_rollback and status.candidate == rollout.target


def _hindered(at: Serving, rollout: Rollout, hindrance: Hindrance) -> RefreshPlan:
    text = f"rolling out {rollout.target.version}: {hindrance.message}; no time counts against it meanwhile"
    summary = StatusSummary(reason=hindrance.reason, message=text, reconciling=True, stalled=hindrance.stalled)
    return Plan(status=at.status.evolve(rollout=rollout), summary=summary, requeue_after_seconds=_HINDERED_SECONDS)


def _wait(at: Serving, rollout: Rollout, state: RolloutState) -> RefreshPlan:
    text = f"rolling out {rollout.target.version}: {at.deployment.message or 'waiting for the Deployment'}"
    late = state is RolloutState.OVERDUE
    reason = Reason.PROGRESS_DEADLINE_EXCEEDED if late else Reason.ROLLING_OUT
    status = at.status.evolve(rollout=rollout)
    actions: tuple[Action, ...] = () if rollout_state.is_loaded(at, rollout.target) else (_serve(at, rollout.target),)
    return Plan(
        status=status,
        summary=StatusSummary(reason=reason, message=text, reconciling=not late, stalled=late),
        actions=actions,
        requeue_after_seconds=5.0,
    )


def _serve(at: Serving, target: VersionRef) -> Serve:
    return Serve(
        deployment=at.deployment.name,
        uid=at.deployment.uid,
        container=at.container,
        path=_path(at, target),
        version=names.short(target.version),
        digest=target.digest,
    )


def _path(at: Serving, target: VersionRef) -> str:
    """Where the version lies inside the container."""
    return f"{at.deployment.mounts[at.container].rstrip('/')}/{artifacts.VERSIONS}/{target.digest}"


def _conflict(at: Serving, target: VersionRef) -> RefreshPlan:
    text = (
        f'container "{at.container}" of Deployment "{at.deployment.name}" has '
        f"{names.MODEL_VARIABLE}={at.deployment.models[at.container]}, expected {_path(at, target)}; take the variable "
        "out of what else sets it (a manifest in Git, kubectl set env)"
    )
    summary = StatusSummary(reason=Reason.TARGET_CONFLICT, message=text, stalled=True)
    return Plan(status=at.status, summary=summary, requeue_after_seconds=30.0)


def _hold(status: RefreshStatus, digest: str, *, release: str | None = None) -> tuple[str, ...]:
    kept = [item for item in status.held if item not in (digest, release)]
    return (digest, *kept)[:_HELD_LIMIT]
