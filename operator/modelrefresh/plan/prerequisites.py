"""Whether there is anything to work on: unusable specs, suspension, what is missing.

The rules here come before everything else and answer with one word for the user; what
they let pass becomes `ReadyRefresh`, in which no prerequisite is absent.
"""

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence

from modelrefresh.api import names
from modelrefresh.api.conditions import Reason
from modelrefresh.api.evaluation import Versus
from modelrefresh.api.merging import ResidualRef
from modelrefresh.api.rollout import Stock
from modelrefresh.api.spec import RefreshSpec
from modelrefresh.api.status.run import StageState
from modelrefresh.contract import limits
from modelrefresh.contract.vocabulary import Strategy
from modelrefresh.plan import lifecycle, profiles
from modelrefresh.plan.actions import Plan, RefreshPlan, StatusSummary
from modelrefresh.plan.attempts import stage_results
from modelrefresh.plan.observed import ObservedJob, ObservedRefresh, ObservedResidual, ReadyRefresh, ServedRefresh
from modelrefresh.plan.profiles import Lack
from modelrefresh.plan.rollout import holding
from modelrefresh.plan.stages import stage_records


def refuse_bad_spec(observed: ObservedRefresh, _: datetime.datetime) -> RefreshPlan | None:
    """A spec that cannot be understood is said once; the next change of it wakes us."""
    if observed.spec is not None:
        return None
    return _blocked(observed, Reason.INVALID_SPEC, "; ".join(observed.faults))


def hold_if_suspended(observed: ObservedRefresh, now: datetime.datetime) -> RefreshPlan | None:
    """Suspended: running Jobs are stopped with a checkpoint; the attempt does not count."""
    if observed.spec is None or not observed.spec.suspend:
        return None
    summary = StatusSummary(reason=Reason.SUSPENDED, message="spec.suspend is true; set it to false to go on")
    return without_work(Plan(status=observed.status, summary=summary), observed.jobs, now)


def without_work(plan: RefreshPlan, jobs: Iterable[ObservedJob], now: datetime.datetime) -> RefreshPlan:
    """The plan of a suspended refresh: what else it does, and no Job at work."""
    found = tuple(jobs)
    status = stage_results.pause(plan.status, found, reason=Reason.SUSPENDED, now=now)
    return dataclasses.replace(plan, status=status, actions=(*plan.actions, *lifecycle.stop(found)))


def require(observed: ObservedRefresh, _: datetime.datetime) -> RefreshPlan | None:
    """Everything that a run needs must be there; all that is not is told at once, under the first one's reason.

    The target comes first: only its lack leaves open what serves.
    """
    spec = observed.spec
    assert spec is not None  # noqa: S101 -- refuse_bad_spec came before
    lacks = [
        *_target(observed, spec),
        *_profile(observed, spec),
        *claims(observed.missing_claims, observed.meta.namespace),
    ]
    lacks += [*_residuals(observed, spec), *_incumbent(observed, spec)]
    if not lacks:
        return None
    if {lack.reason for lack in lacks} == {Reason.RESIDUAL_NOT_READY}:
        summary = StatusSummary(reason=Reason.RESIDUAL_NOT_READY, message=tell(lacks), reconciling=True)
        return Plan(status=observed.status, summary=summary, requeue_after_seconds=lifecycle.LOOK_AGAIN_SECONDS)
    return _blocked(observed, lacks[0].reason, tell(lacks))


def tell(lacks: Sequence[Lack]) -> str:
    """All of them in one message, numbered if there are several."""
    if len(lacks) == 1:
        return lacks[0].text
    return f"{len(lacks)} things are missing: " + "; ".join(
        f"({number}) {lack.text}" for number, lack in enumerate(lacks, start=1)
    )


def claims(missing: Sequence[str], namespace: str) -> Iterator[Lack]:
    """Every claim that a source or the workspace names must be in this namespace."""
    if missing:
        listed = ", ".join(f'"{claim}"' for claim in missing)
        text = f"PersistentVolumeClaim {listed} is not in namespace {namespace}; create it or correct the pvc:// URI"
        yield Lack(reason=Reason.CLAIM_NOT_FOUND, text=text)


def _profile(observed: ObservedRefresh, spec: RefreshSpec) -> Iterator[Lack]:
    uris = [source.uri for source in spec.sources]
    # The import of the stock model, and with Direct the training, read the residual's other model by this profile.
    reads = spec.rollout.stock in (None, Stock.INSTRUCT) or spec.training.strategy is Strategy.DIRECT
    uris += [observed.residual.instruct] if reads and observed.residual and observed.residual.instruct else []
    lacks = list(profiles.lacks(spec.profile, observed, named=uris))
    yield from lacks
    faults = "; ".join(profiles.over_limits(spec, observed.profile)) if observed.profile and not lacks else ""
    if faults:
        yield Lack(reason=Reason.PROFILE_FORBIDS, text=f'RefreshProfile "{spec.profile}": {faults}')


def _target(observed: ObservedRefresh, spec: RefreshSpec) -> Iterator[Lack]:
    """The target must exist, be ours alone, and mount the workspace in the named container."""
    wanted, target, field = spec.rollout.target, observed.target, f"spec.rollout.{spec.rollout.target.field}"
    named = f'{wanted.kind} "{wanted.name}"'
    if target is None:
        text = f"{named} is not in namespace {observed.meta.namespace}; create it or correct {field}.name"
        yield Lack(reason=Reason.TARGET_NOT_FOUND, text=text)
        return
    if not holding.is_allowed(observed.meta, target):
        says = f"kubectl annotate {wanted.kind.lower()} {wanted.name} --namespace={observed.meta.namespace}"
        text = (
            f'{named} does not allow ModelRefresh "{observed.meta.name}" to change it; '
            f"its owner can: {says} {names.ANNOTATION_ALLOW}={observed.meta.name}"
        )
        yield Lack(reason=Reason.TARGET_NOT_ALLOWED, text=text)
    if observed.rival is not None:
        text = (
            f'{named} is already rolled by ModelRefresh "{observed.rival}"; '
            f"one {wanted.kind} takes its model from one ModelRefresh"
        )
        yield Lack(reason=Reason.TARGET_CONFLICT, text=text)
    container = _container(observed)
    if container is None or container not in target.containers:
        text = (
            f"{field}.container: saw {wanted.container!r}, {named} has the "
            f"containers {', '.join(target.containers)}; name one of them"
        )
        yield Lack(reason=Reason.TARGET_NOT_FOUND, text=text)
    # Without the profile nobody knows which claim that would be.
    elif container not in target.mounts and observed.profile is not None:
        text = (
            f'container "{container}" of {named} does not mount the workspace claim '
            f'"{observed.profile.workspace_claim}" as a whole; mount it read-only so that the server can read versions'
        )
        yield Lack(reason=Reason.TARGET_NOT_FOUND, text=text)


def _residuals(observed: ObservedRefresh, spec: RefreshSpec) -> Iterator[Lack]:
    """Every residual must exist, be stored, and be cut from a model that it fits."""
    yield from _residual(observed, spec.residual_ref, "residualRef", observed.residual, bases=[spec.base.uri])
    bases = [spec.base.uri, *([observed.residual.instruct] if observed.residual else [])]
    for number, (ref, seen) in enumerate(zip(spec.residuals, observed.added, strict=True)):
        yield from _residual(observed, ref, f"residuals[{number}]", seen, bases=bases)


def _residual(
    observed: ObservedRefresh, ref: ResidualRef, field: str, residual: ObservedResidual | None, *, bases: Sequence[str]
) -> Iterator[Lack]:
    if residual is None:
        text = (
            f'InstructionResidual "{ref.name}" is not in namespace {observed.meta.namespace}; create it or correct '
            f"spec.{field}.name"
        )
        yield Lack(reason=Reason.RESIDUAL_NOT_FOUND, text=text)
        return
    if residual.base not in bases and ref.transfer is None:
        others = f" (nor is it {', '.join(bases[1:])})" if bases[1:] else ""
        text = (
            f'InstructionResidual "{ref.name}" was cut from {residual.base}, spec.base.uri is {bases[0]}{others}; '
            f"the residual must come from the base that is trained, or of its family with spec.{field}.transfer"
        )
        yield Lack(reason=Reason.BASE_MISMATCH, text=text)
    if not residual.ready:
        text = f'waiting for InstructionResidual "{ref.name}": {residual.message}'
        yield Lack(reason=Reason.RESIDUAL_NOT_READY, text=text)


def _incumbent(observed: ObservedRefresh, spec: RefreshSpec) -> Iterator[Lack]:
    """Gates that compare with an incumbent need one, or no candidate would ever pass."""
    named = observed.target.digest if observed.target else None
    serves = observed.status.live is not None or (named is not None and named not in observed.status.held)
    if spec.rollout.stock is not Stock.NONE or serves:
        return
    compared = [gate.suite for gate in spec.evaluation.gates if gate.versus is Versus.INCUMBENT]
    if compared:
        text = (
            f"nothing serves and spec.rollout.stock is None, so the gates of {', '.join(compared)} have no incumbent "
            "to compare with; make them versus Absolute, or name a stock model"
        )
        yield Lack(reason=Reason.INVALID_SPEC, text=text)


def served(observed: ObservedRefresh) -> ServedRefresh | None:
    """The refresh with its target; None where the target is not as it must be."""
    container = _container(observed)
    if observed.spec is None or observed.target is None or observed.rival is not None or container is None:
        return None
    if not holding.is_allowed(observed.meta, observed.target):
        return None
    if container not in observed.target.mounts:
        return None
    return ServedRefresh(
        meta=observed.meta,
        spec=observed.spec,
        status=observed.status,
        target=observed.target,
        container=container,
        versions=observed.versions,
    )


def ready(observed: ObservedRefresh) -> ReadyRefresh:
    """The refresh with all its prerequisites; the rules above have let it pass."""
    held, residual = served(observed), observed.residual
    added = tuple(one.digest for one in observed.added if one and one.digest)
    if held is None or observed.profile is None or residual is None or residual.digest is None:
        raise AssertionError("`require` lets nothing pass that lacks one of these")
    return ReadyRefresh(
        meta=held.meta,
        spec=held.spec,
        status=held.status,
        target=held.target,
        container=held.container,
        versions=held.versions,
        profile=observed.profile,
        profile_hash=observed.profile_hash,
        residual=residual,
        residual_digest=residual.digest,
        added=added,
        inputs=inputs(held.spec, residual=residual.digest, added=added),
        jobs=observed.jobs,
        pods=observed.pods,
        foreign_digests=observed.foreign_digests,
    )


def inputs(spec: RefreshSpec, *, residual: str, added: Sequence[str] = ()) -> str:
    """Hash of what a run works on: rollout, triggers, retention and suspension do not belong to it.

    Fields at their default are left out, so that a field which a release adds changes no hash (docs/decisions/0013).
    """
    # Patience changes no weights, and a run that stalled must go on with more of it.
    training = spec.training.model_copy(update={"stall_seconds": limits.STALL_SECONDS.whole})
    matters = spec.model_copy(update={"training": training}).model_dump(
        mode="json",
        include={
            *("profile", "base", "residual_ref", "data", "training", "residual", "residuals", "average", "evaluation"),
        },
        exclude_defaults=True,
    )
    digests = {"digest": residual} | ({"added": list(added)} if added else {})
    text = json.dumps(matters | digests, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _container(observed: ObservedRefresh) -> str | None:
    named = observed.spec.rollout.target.container if observed.spec else None
    if named is not None or observed.target is None:
        return named
    return observed.target.containers[0] if len(observed.target.containers) == 1 else None


def _blocked(observed: ObservedRefresh, reason: Reason, message: str) -> RefreshPlan:
    """Nothing new starts until a person acts; Jobs that run go on."""
    found = stage_records.at_work(observed.status)
    at_work = found is not None and found[1].state is StageState.RUNNING
    summary = StatusSummary(reason=reason, message=message, stalled=not at_work, reconciling=at_work)
    return Plan(status=observed.status, summary=summary, requeue_after_seconds=lifecycle.LOOK_AGAIN_SECONDS)
