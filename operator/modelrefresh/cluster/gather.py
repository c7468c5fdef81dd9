"""One look at the cluster: the port in, `plan.observed` records out.

All reads are live. Whatever is absent is absent in the record too; what it means is decided in `plan/`.
"""

import asyncio
import datetime
import hashlib
import logging
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import pydantic

from modelrefresh import errors
from modelrefresh.api import names
from modelrefresh.api.conditions import ConditionType
from modelrefresh.api.model import ApiModel, parse
from modelrefresh.api.profile import ProfileSpec
from modelrefresh.api.spec import RefreshSpec, ResidualSpec
from modelrefresh.api.status.record import Record
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.api.status.residual import ResidualStatus
from modelrefresh.api.status.version import VersionSpec
from modelrefresh.cluster import children
from modelrefresh.contract import uris
from modelrefresh.kube import documents, kinds
from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Document, Port
from modelrefresh.plan import extraction, retention
from modelrefresh.plan.observed import (
    Meta,
    ObservedExtraction,
    ObservedRefresh,
    ObservedResidual,
    ObservedTarget,
    ObservedVersion,
)
from modelrefresh.plan.stages import stage_records
from modelrefresh.targets import table

LOG = logging.getLogger(__name__)
S = TypeVar("S", bound=ApiModel)
R = TypeVar("R", bound=Record)
_NAMING = 2000
"""Versions, and targets, of a namespace that may name a digest."""
_VERSIONS = 1100
"""The most that spec.retain may keep, and what waits for a sweep."""
_PASSED = ("Passed", "Stock")


async def refresh(port: Port, document: Document, now: datetime.datetime) -> ObservedRefresh:
    """A ModelRefresh and everything around it."""
    meta, (spec, faults), before = _meta(document), _spec(RefreshSpec, document), _status(RefreshStatus, document)
    found = stage_records.at_work(before)
    jobs = await children.of(port, meta, _current(before), now=now)
    if spec is None:
        return ObservedRefresh(meta=meta, spec=None, faults=faults, status=before, **jobs)
    profile, residual, added, versions = await asyncio.gather(
        _profile(port, spec.profile, meta),
        _residual(port, meta, spec.residual_ref.name),
        asyncio.gather(*(_residual(port, meta, one.name) for one in spec.residuals)),
        port.find(kinds.MODEL_VERSION, namespace=meta.namespace, selector=_owned(meta), limit=_VERSIONS),
    )
    rules = profile["profile"]
    workspace = rules.workspace_claim if rules else ""
    wanted = spec.rollout.target
    target, missing = await asyncio.gather(
        table.of(wanted.kind).observe(port, meta.namespace, wanted.name, workspace),
        # A stage at work has its claims, and its pod says so itself if not.
        _missing(
            port,
            meta,
            named=() if found else [source.uri for source in spec.sources],
            workspace="" if found else workspace,
        ),
    )
    own = tuple(
        seen for item in versions if documents.belongs_to(item, meta.uid) and (seen := _version(item)) is not None
    )
    # Lists of a whole namespace grow with it, so they are read only where something may go.
    crowded = len(own) > spec.retain.versions
    return ObservedRefresh(
        meta=meta,
        spec=spec,
        status=before,
        **profile,
        residual=residual,
        added=tuple(added),
        versions=own,
        foreign_digests=await _foreign(port, meta, (one.digest for one in own)) if crowded else frozenset(),
        target=target,
        rival=await _rival(port, meta, target, field=wanted.field) if target else None,
        missing_claims=missing,
        **jobs,
    )


async def residual(port: Port, document: Document, now: datetime.datetime) -> ObservedExtraction:
    """An InstructionResidual and everything around it."""
    meta, (spec, faults), before = _meta(document), _spec(ResidualSpec, document), _status(ResidualStatus, document)
    stage, run = before.extract, extraction.run_of(meta)
    current = children.Current(run=run, stage=stage.name, attempt=stage.attempt) if stage and stage.at_work else None
    jobs = await children.of(port, meta, current, now=now)
    if spec is None:
        return ObservedExtraction(meta=meta, spec=None, faults=faults, status=before, **jobs)
    profile = await _profile(port, spec.profile, meta)
    rules = profile["profile"]
    return ObservedExtraction(
        meta=meta,
        spec=spec,
        status=before,
        **profile,
        missing_claims=await _missing(
            port,
            meta,
            named=[spec.base.uri, spec.instruct.uri],
            workspace=rules.workspace_claim if rules else "",
        ),
        **jobs,
    )


def _current(status: RefreshStatus) -> children.Current | None:
    """Of a run, or of the sweep that works while no run does."""
    found, swept = stage_records.at_work(status), status.sweep.stage if status.sweep else None
    if found:
        return children.Current(run=found[0].id, stage=found[1].name, attempt=found[1].attempt)
    if swept and swept.at_work:
        return children.Current(run=retention.RUN, stage=swept.name, attempt=swept.attempt)
    return None


async def _get(port: Port, kind: Kind, *, namespace: str | None = None, name: str) -> Document | None:
    try:
        return await port.get(kind, namespace=namespace, name=name)
    except errors.NotFoundError:
        return None


async def _foreign(port: Port, meta: Meta, digests: Iterable[str]) -> frozenset[str]:
    """Digests that others name, as versions or in anything that was ever served; ours too where these are too many."""
    versions, targets = await asyncio.gather(
        port.find(kinds.MODEL_VERSION, namespace=meta.namespace, limit=_NAMING),
        asyncio.gather(*(target.served(port, meta.namespace, _NAMING) for target in table.TARGETS)),
    )
    if len(versions) >= _NAMING or any(len(found) >= _NAMING for found in targets):
        LOG.warning("%s: so many versions or targets that none of %s is swept", meta.namespace, meta.name)
        return frozenset(digests)
    foreign = (item for item in versions if not documents.belongs_to(item, meta.uid))
    named = {str((item.get("spec") or {}).get("digest")) for item in foreign}
    # What is no longer the target goes on serving what it was given.
    return frozenset(named | {digest for found in targets for digest in found if digest})


async def _rival(port: Port, meta: Meta, target: ObservedTarget, *, field: str) -> str | None:
    """Another ModelRefresh that holds the target: told by one question, however many name it."""
    # An operator before this release left the name alone, as a label.
    name = target.holder_name if target.holder else target.labelled
    if not name or target.holder == meta.uid or (target.holder is None and name == names.short(meta.name)):
        return None
    holder = await _get(port, kinds.MODEL_REFRESH, namespace=meta.namespace, name=name)
    if holder is None or target.holder not in (None, holder["metadata"]["uid"]):
        return None
    if "deletionTimestamp" in holder["metadata"]:
        return None
    wanted = ((holder.get("spec") or {}).get("rollout") or {}).get(field) or {}
    return name if wanted.get("name") == target.name else None


async def _missing(port: Port, meta: Meta, *, named: Iterable[str], workspace: str) -> tuple[str, ...]:
    wanted = {claim for claim in (workspace, *map(uris.claim_of, named)) if claim}
    found = await asyncio.gather(
        *(_get(port, kinds.CLAIM, namespace=meta.namespace, name=claim) for claim in sorted(wanted))
    )
    return tuple(claim for claim, document in zip(sorted(wanted), found, strict=True) if document is None)


def _owned(meta: Meta) -> str:
    return f"{names.LABEL_OWNER_UID}={meta.uid}"


def _meta(document: Document) -> Meta:
    metadata = document["metadata"]
    annotations = metadata.get("annotations") or {}
    return Meta(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 1),
        deleting="deletionTimestamp" in metadata,
        finalizer=names.FINALIZER in (metadata.get("finalizers") or ()),
        created=documents.created(document),
        refresh_token=annotations.get(names.ANNOTATION_REFRESH),
        approved=annotations.get(names.ANNOTATION_APPROVE),
    )


def _spec(kind: type[S], document: Document) -> tuple[S | None, tuple[str, ...]]:
    try:
        return parse(kind, document.get("spec") or {}), ()
    except errors.SpecError as error:
        return None, error.faults


def _status(kind: type[R], document: Document) -> R:
    """What was remembered; a status that somebody else damaged counts as none, the rules find the rest again."""
    try:
        return kind.read(document.get("status"))
    except pydantic.ValidationError as error:
        LOG.warning("the status cannot be read and is written anew: %s", error)
        return kind()


async def _profile(port: Port, name: str, meta: Meta) -> dict[str, Any]:
    """The profile, or why it cannot be used; and the labels of the object's Namespace, if it goes by them."""
    document = await _get(port, kinds.REFRESH_PROFILE, name=name)
    rules, faults = _spec(ProfileSpec, document) if document else (None, ())
    by_label = rules is not None and rules.namespace_selector is not None
    space = await _get(port, kinds.NAMESPACE, name=meta.namespace) if by_label else None
    return {
        "profile": rules,
        "profile_faults": faults,
        "profile_hash": _hash(document),
        "namespace_labels": (space or {}).get("metadata", {}).get("labels") or {},
    }


def _hash(profile: Document | None) -> str:
    return hashlib.sha256(repr(sorted(_flat((profile or {}).get("spec") or {}))).encode()).hexdigest()[:12]


def _flat(value: object, path: str = "") -> Iterable[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _flat(item, f"{path}[{number}]")
    else:
        yield path, repr(value)


async def _residual(port: Port, meta: Meta, name: str) -> ObservedResidual | None:
    document = await _get(port, kinds.INSTRUCTION_RESIDUAL, namespace=meta.namespace, name=name)
    if document is None:
        return None
    spec, state = document.get("spec") or {}, document.get("status") or {}
    ready = documents.condition(document, ConditionType.READY, wanted=None) or {}
    return ObservedResidual(
        name=document["metadata"]["name"],
        ready=ready.get("status") == "True" and bool(state.get("digest")),
        digest=state.get("digest"),
        base=spec.get("base", {}).get("uri", ""),
        instruct=spec.get("instruct", {}).get("uri", ""),
        base_fingerprint=state.get("baseFingerprint"),
        instruct_fingerprint=state.get("instructFingerprint"),
        message=f"{ready.get('reason', 'Pending')}: {ready.get('message', 'not looked at yet')}",
    )


def _version(document: Document) -> ObservedVersion | None:
    """The version, or None for one that nobody of ours wrote: it must not stop the pass over its refresh."""
    try:
        spec = VersionSpec.read(document.get("spec"))
    except pydantic.ValidationError as error:
        LOG.warning("ModelVersion %s cannot be read and is left alone: %s", document["metadata"]["name"], error)
        return None
    served = (document.get("status") or {}).get("served") or {}
    return ObservedVersion(
        name=document["metadata"]["name"],
        uid=document["metadata"]["uid"],
        digest=spec.digest,
        run=spec.run,
        passed=spec.verdict in _PASSED,
        served=bool(served),
        target=served.get("deployment"),
        created=documents.created(document),
    )
