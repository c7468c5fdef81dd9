"""The ModelVersion of one sealed candidate: digest, lineage, scores, verdict."""

import datetime
from typing import Any

from modelrefresh.api import names, status
from modelrefresh.api.profile import ProfileSpec
from modelrefresh.api.stage_facts import EvaluateFacts
from modelrefresh.api.status import Lineage, Served, VersionSpec, VersionStatus
from modelrefresh.contract import artifacts
from modelrefresh.contract.vocabulary import Stage, Strategy
from modelrefresh.manifests import labels
from modelrefresh.plan.actions import SealVersion
from modelrefresh.plan.judging import promotion
from modelrefresh.plan.observed import ObservedRefresh


def build(seal: SealVersion, seen: ObservedRefresh) -> dict[str, Any]:
    """The ModelVersion, owned by its refresh."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.MODEL_VERSION,
        "metadata": {
            "name": seal.name,
            "namespace": seen.meta.namespace,
            "labels": labels.of_child(seen.meta, kind=names.REFRESH) | {names.LABEL_RUN: seal.run.id},
            "ownerReferences": labels.owner(seen.meta, kind=names.REFRESH),
        },
        "spec": status.render(_spec(seal, seen)),
    }


def served(deployment: str | None, *, now: datetime.datetime) -> dict[str, Any]:
    """Status of a ModelVersion that serves, or no longer does."""
    return status.render(VersionStatus(served=Served(deployment=deployment, since=now) if deployment else None))


def _spec(seal: SealVersion, seen: ObservedRefresh) -> VersionSpec:
    evaluated = seal.run.record(Stage.EVALUATE)
    facts = (evaluated.evaluate if evaluated else None) or EvaluateFacts()
    judged = "Passed" if promotion.passed(facts) else "Rejected"
    return VersionSpec(
        refresh=seen.meta.name,
        run=seal.run.id,
        digest=seal.digest,
        path=f"{artifacts.VERSIONS}/{seal.digest}",
        lineage=_stock(seen) if seal.stock else _lineage(seal, seen),
        evaluation=EvaluateFacts() if seal.stock else facts,
        verdict="Stock" if seal.stock else judged,
        summary="" if seal.stock else ", ".join(f"{item.suite} {item.seen}" for item in facts.verdicts),
    )


def _stock(seen: ObservedRefresh) -> Lineage:
    return Lineage(strategy="Stock", base=seen.residual.instruct if seen.residual else None, image=_image(seen.profile))


def _lineage(seal: SealVersion, seen: ObservedRefresh) -> Lineage:
    assert seen.spec is not None  # noqa: S101 -- a run is concluded only for a readable spec
    prepared, trained = seal.run.record(Stage.PREPARE), seal.run.record(Stage.TRAIN)
    return Lineage(
        strategy=seen.spec.training.strategy,
        method=seen.spec.training.method,
        base=seen.spec.base.uri,
        residual=seen.spec.residual_ref.name,
        residual_digest=seen.residual.digest if seen.residual else None,
        scale=None if seen.spec.training.strategy is Strategy.DIRECT else seen.spec.residual.scale,
        data=seen.spec.data.uri,
        data_fingerprint=prepared.prepare.fingerprint if prepared and prepared.prepare else None,
        tokens=trained.train.tokens if trained and trained.train else 0,
        image=_image(seen.profile),
        config=seal.run.inputs,
    )


def _image(profile: ProfileSpec | None) -> str | None:
    return profile.image if profile else None
