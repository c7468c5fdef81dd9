"""The way of a version into the Deployment, and back when it does not become available.

A version gets here only by `promote` (every gate passed) or `install` (the stock model,
version zero, when nothing serves yet). A person who moves the Deployment by hand, as with
`kubectl rollout undo`, is right: their choice is adopted and the undone digest is held.
"""

import dataclasses
import datetime

from modelrefresh.api import names
from modelrefresh.api.conditions import Reason
from modelrefresh.api.records import Outcome, Run, StageState
from modelrefresh.api.status import RefreshStatus, Rollout, VersionRef
from modelrefresh.contract import artifacts
from modelrefresh.plan import history
from modelrefresh.plan.actions import Action, MarkServed, Plan, Serve, Word
from modelrefresh.plan.history import End
from modelrefresh.plan.observed import VersionSeen, Work

_HELD_LIMIT = 10


def install(work: Work, now: datetime.datetime) -> Plan | None:
    """Nothing serves yet: adopt what the Deployment already serves, else roll out version zero."""
    status = work.status
    if status.live is not None or status.rollout is not None:
        return None
    found = _found(work)
    if found is not None:
        word = Word(reason=Reason.SERVING, message=f"found {found.version} in the Deployment", working=True)
        return Plan(status=status.but(live=found.but(since=now)), word=word, wake_seconds=0.0)
    return _begin(work, status.stock, now) if status.stock is not None else None


def _found(work: Work) -> VersionRef | None:
    """What the Deployment names: a version of ours, or one whose ModelVersion went with an earlier ModelRefresh.

    The latter was rolled out by us once and serves now; to put the stock model in its place would be a step back.
    """
    digest, known = work.deployment.digest, _chosen(work)
    if known is not None:
        return VersionRef(version=known.name, digest=known.digest)
    if digest is None or any(item.digest == digest for item in work.versions):
        return None
    return VersionRef(version=names.version_name(refresh=work.meta.name, digest=digest), digest=digest)


def promote(work: Work, run: Run, target: VersionRef, now: datetime.datetime) -> Plan:
    """Roll out a candidate that passed every gate."""
    status = work.status
    if status.live is not None and status.live.digest == target.digest:
        text = f"{target.version} passed and already serves"
        ended = history.close(status, run, End(outcome=Outcome.PROMOTED, message=text), now)
        return Plan(status=ended, word=Word(reason=Reason.PROMOTED, message=text), wake_seconds=0.0)
    if target.digest in status.held:
        text = f"{target.version} passed, but its rollout failed or was undone before; it is not tried again by itself"
        ended = history.close(
            status, run, End(outcome=Outcome.ROLLED_BACK, message=text, reason=Reason.PROMOTION_HELD), now
        )
        return Plan(status=ended, word=Word(reason=Reason.PROMOTION_HELD, message=text), wake_seconds=0.0)
    return _begin(work, target, now)


def advance(work: Work, now: datetime.datetime) -> Plan | None:
    """A rollout is under way: point, wait, settle, or go back."""
    rollout = work.status.rollout
    if rollout is None:
        return None
    there = work.deployment.digest == rollout.target.digest
    if there and work.deployment.settled:
        return _settle(work, rollout, now)
    if rollout.seen and not there and _chosen(work) is not None:
        return _undone(work, rollout, now)
    late = (now - rollout.start_time).total_seconds() > work.spec.rollout.progress_deadline_seconds
    if late and not rollout.back and work.status.live is not None:
        return _go_back(work, rollout, work.status.live, now)
    return _wait(work, rollout, there=there, late=late)


def follow_hand(work: Work, now: datetime.datetime) -> Plan | None:
    """Nothing is under way, yet the Deployment names another version than the live one."""
    live, digest = work.status.live, work.deployment.digest
    if live is None or digest == live.digest:
        return None
    known = _chosen(work)
    elsewhere = any(item.digest == live.digest and _is_elsewhere(work, item) for item in work.versions)
    if known is None or elsewhere:
        return _begin(work, live, now, back=True)
    chosen = VersionRef(version=known.name, digest=known.digest, since=now)
    status = work.status.but(live=chosen, previous=live, held=_hold(work.status, live.digest, release=chosen.digest))
    text = f"{chosen.version} was chosen by hand; {live.version} is held back"
    return Plan(status=status, word=Word(reason=Reason.SERVING, message=text), wake_seconds=0.0)


def mark(work: Work, _: datetime.datetime) -> Plan | None:
    """Each ModelVersion says whether it is the one that serves."""
    live = work.status.live
    stale = [
        item
        for item in work.versions
        if live is not None and (item.served != (item.digest == live.digest) or _is_elsewhere(work, item))
    ]
    if live is None or not stale:
        return None
    marks = tuple(
        MarkServed(name=item.name, deployment=work.deployment.name if item.digest == live.digest else None)
        for item in stale
    )
    word = Word(reason=Reason.SERVING, message=f"{live.version} serves", working=True)
    return Plan(status=work.status, word=word, actions=marks, wake_seconds=0.0)


def _chosen(work: Work) -> VersionSeen | None:
    """The version that the Deployment names, if it may serve: judged, and not in a sweep that has not ended well."""
    sweep = work.status.sweep
    going = sweep.versions if sweep is not None and sweep.stage.state is not StageState.SUCCEEDED else ()
    found = (item for item in work.versions if item.passed and item.digest not in going)
    return next((item for item in found if item.digest == work.deployment.digest), None)


def _is_elsewhere(work: Work, version: VersionSeen) -> bool:
    """Whether it was served by a Deployment that is no longer the target."""
    return version.deployment not in (None, work.deployment.name)


def _begin(work: Work, target: VersionRef, now: datetime.datetime, *, back: bool = False) -> Plan:
    rollout = Rollout(target=target, start_time=now, back=back)
    word = Word(reason=Reason.ROLLING_OUT, message=f"rolling out {target.version}", working=True)
    return Plan(status=work.status.but(rollout=rollout), word=word, actions=(_serve(work, target),), wake_seconds=5.0)


def _settle(work: Work, rollout: Rollout, now: datetime.datetime) -> Plan:
    status, target = work.status, rollout.target.but(since=now)
    before = status.previous if rollout.back else status.live
    status = status.but(live=target, previous=before, rollout=None)
    run = status.run
    if run is not None and run.outcome is None and not rollout.back and status.candidate == rollout.target:
        status = history.close(
            status, run, End(outcome=Outcome.PROMOTED, message=f"{target.version} passed every gate and serves"), now
        )
        status = status.but(freshness=history.freshness(run) or status.freshness)
    word = Word(reason=Reason.SERVING, message=f"{target.version} serves")
    if status.run is not None and status.run.outcome is not None:
        word = Word(reason=Reason(status.run.outcome.value), message=status.run.message)
    # What `mark` and `runs.idle` would say next: one status for the end of a rollout instead of three.
    marked = mark(dataclasses.replace(work, status=status), now)
    return Plan(status=status, word=word, actions=marked.actions if marked else (), wake_seconds=0.0)


def _undone(work: Work, rollout: Rollout, now: datetime.datetime) -> Plan:
    digest = rollout.target.digest
    text = f"the rollout of {rollout.target.version} was undone by hand; it is not tried again by itself"
    return _abandon(work, digest, text, now)


def _go_back(work: Work, rollout: Rollout, live: VersionRef, now: datetime.datetime) -> Plan:
    seconds = work.spec.rollout.progress_deadline_seconds
    text = (
        f"{rollout.target.version} was not available within {seconds} s ({work.deployment.message}); "
        f"going back to {live.version}"
    )
    plan = _abandon(work, rollout.target.digest, text, now, reason=Reason.PROGRESS_DEADLINE_EXCEEDED)
    back = Rollout(target=live, start_time=now, back=True)
    return Plan(status=plan.status.but(rollout=back), word=plan.word, actions=(_serve(work, live),), wake_seconds=5.0)


def _abandon(
    work: Work, digest: str, text: str, now: datetime.datetime, *, reason: Reason = Reason.ROLLED_BACK
) -> Plan:
    status = work.status.but(rollout=None, held=_hold(work.status, digest))
    if status.run is not None and status.run.outcome is None:
        status = history.close(status, status.run, End(outcome=Outcome.ROLLED_BACK, message=text, reason=reason), now)
    return Plan(status=status, word=Word(reason=Reason.ROLLED_BACK, message=text), wake_seconds=0.0)


def _wait(work: Work, rollout: Rollout, *, there: bool, late: bool) -> Plan:
    text = f"rolling out {rollout.target.version}: {work.deployment.message or 'waiting for the Deployment'}"
    reason = Reason.PROGRESS_DEADLINE_EXCEEDED if late else Reason.ROLLING_OUT
    status = work.status.but(rollout=rollout.but(seen=rollout.seen or there))
    actions: tuple[Action, ...] = () if there else (_serve(work, rollout.target),)
    return Plan(
        status=status,
        word=Word(reason=reason, message=text, working=not late, stalled=late),
        actions=actions,
        wake_seconds=5.0,
    )


def _serve(work: Work, target: VersionRef) -> Serve:
    root = work.deployment.mounts[work.container].rstrip("/")
    return Serve(
        deployment=work.deployment.name,
        uid=work.deployment.uid,
        container=work.container,
        path=f"{root}/{artifacts.VERSIONS}/{target.digest}",
        version=names.short(target.version),
        digest=target.digest,
    )


def _hold(status: RefreshStatus, digest: str, *, release: str | None = None) -> tuple[str, ...]:
    kept = [item for item in status.held if item not in (digest, release)]
    return (digest, *kept)[:_HELD_LIMIT]
