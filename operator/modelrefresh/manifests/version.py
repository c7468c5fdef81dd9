"""The ModelVersion of one sealed candidate: digest, lineage, scores, verdict."""

import datetime
from typing import Any

from modelrefresh.api import names
from modelrefresh.api.profile import ProfileSpec
from modelrefresh.api.rollout import Stock
from modelrefresh.api.spec import RefreshSpec
from modelrefresh.api.status.stage_facts import EvaluateFacts
from modelrefresh.api.status.version import AddedLineage, Lineage, ScaledTensors, Served, VersionSpec, VersionStatus
from modelrefresh.contract import artifacts
from modelrefresh.contract.vocabulary import Stage, Strategy
from modelrefresh.manifests import labels
from modelrefresh.plan.actions import SealVersion
from modelrefresh.plan.judging import promotion
from modelrefresh.plan.observed import ObservedRefresh
from modelrefresh.plan.stages import stage_records


def build(seal: SealVersion, observed: ObservedRefresh) -> dict[str, Any]:
    """The ModelVersion, owned by its refresh."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.MODEL_VERSION,
        "metadata": {
            "name": seal.name,
            "namespace": observed.meta.namespace,
            "labels": labels.of_child(observed.meta, kind=names.REFRESH) | {names.LABEL_RUN: seal.run.id},
            "ownerReferences": labels.owner(observed.meta, kind=names.REFRESH),
        },
        "spec": _spec(seal, observed).render(),
    }


def served(deployment: str | None, *, now: datetime.datetime) -> dict[str, Any]:
    """Status of a ModelVersion that serves, or no longer does."""
    return VersionStatus(served=Served(deployment=deployment, since=now) if deployment else None).render()


def _spec(seal: SealVersion, observed: ObservedRefresh) -> VersionSpec:
    evaluated = seal.run.record(Stage.EVALUATE)
    facts = (evaluated.evaluate if evaluated else None) or EvaluateFacts()
    judged = "Passed" if promotion.passed(facts) else "Rejected"
    return VersionSpec(
        refresh=observed.meta.name,
        run=seal.run.id,
        digest=seal.digest,
        path=f"{artifacts.VERSIONS}/{seal.digest}",
        lineage=_stock(seal, observed) if seal.stock else _lineage(seal, observed),
        evaluation=EvaluateFacts() if seal.stock else facts,
        verdict="Stock" if seal.stock else judged,
        summary="" if seal.stock else ", ".join(f"{item.suite} {item.seen}" for item in facts.verdicts),
    )


def _stock(seal: SealVersion, observed: ObservedRefresh) -> Lineage:
    spec, residual, image = observed.spec, observed.residual, _image(observed.profile)
    imported = seal.run.record(Stage.IMPORT)
    if spec is not None and imported is not None and imported.transferred:
        summed = _residuals(spec, observed, scale=spec.residual.scale)
        return Lineage(strategy=Stock.TRANSFERRED, base=spec.base.uri, image=image, **summed)
    return Lineage(strategy="Stock", base=residual.instruct if residual else None, image=image)


def _lineage(seal: SealVersion, observed: ObservedRefresh) -> Lineage:
    assert observed.spec is not None  # noqa: S101 -- a run is concluded only for a readable spec
    spec = observed.spec
    prepared, trained, merged = (seal.run.record(stage) for stage in (Stage.PREPARE, Stage.TRAIN, Stage.MERGE))
    scale = None if spec.training.strategy is Strategy.DIRECT else stage_records.scale(seal.run) or spec.residual.scale
    averaged = merged.incumbent if merged else None
    return Lineage(
        strategy=spec.training.strategy,
        method=spec.training.method,
        base=spec.base.uri,
        **_residuals(spec, observed, scale=scale),
        average=spec.average.previous if spec.average and averaged else None,
        averaged=averaged if spec.average else None,
        data=spec.data.uri,
        data_fingerprint=prepared.prepare.fingerprint if prepared and prepared.prepare else None,
        tokens=trained.train.tokens if trained and trained.train else 0,
        image=_image(observed.profile),
        config=seal.run.inputs,
    )


def _residuals(spec: RefreshSpec, observed: ObservedRefresh, *, scale: str | None) -> dict[str, Any]:
    added = zip(spec.residuals, observed.added, strict=True)
    return {
        "residual": spec.residual_ref.name,
        "residual_digest": observed.residual.digest if observed.residual else None,
        "scale": scale,
        "scales": tuple(ScaledTensors(tensors=one.tensors, scale=one.scale) for one in spec.residual.scales),
        "transfer": spec.residual_ref.transfer,
        "added": tuple(
            AddedLineage(residual=one.name, digest=seen.digest if seen else None, scale=one.scale)
            for one, seen in added
        ),
    }


def _image(profile: ProfileSpec | None) -> str | None:
    return profile.image if profile else None
