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
        "spec": status.render(_spec(seal, observed)),
    }


def served(deployment: str | None, *, now: datetime.datetime) -> dict[str, Any]:
    """Status of a ModelVersion that serves, or no longer does."""
    return status.render(VersionStatus(served=Served(deployment=deployment, since=now) if deployment else None))


def _spec(seal: SealVersion, observed: ObservedRefresh) -> VersionSpec:
    evaluated = seal.run.record(Stage.EVALUATE)
    facts = (evaluated.evaluate if evaluated else None) or EvaluateFacts()
    judged = "Passed" if promotion.passed(facts) else "Rejected"
    return VersionSpec(
        refresh=observed.meta.name,
        run=seal.run.id,
        digest=seal.digest,
        path=f"{artifacts.VERSIONS}/{seal.digest}",
        lineage=_stock(observed) if seal.stock else _lineage(seal, observed),
        evaluation=EvaluateFacts() if seal.stock else facts,
        verdict="Stock" if seal.stock else judged,
        summary="" if seal.stock else ", ".join(f"{item.suite} {item.seen}" for item in facts.verdicts),
    )


def _stock(observed: ObservedRefresh) -> Lineage:
    return Lineage(
        strategy="Stock", base=observed.residual.instruct if observed.residual else None, image=_image(observed.profile)
    )


def _lineage(seal: SealVersion, observed: ObservedRefresh) -> Lineage:
    assert observed.spec is not None  # noqa: S101 -- a run is concluded only for a readable spec
    prepared, trained = seal.run.record(Stage.PREPARE), seal.run.record(Stage.TRAIN)
    return Lineage(
        strategy=observed.spec.training.strategy,
        method=observed.spec.training.method,
        base=observed.spec.base.uri,
        residual=observed.spec.residual_ref.name,
        residual_digest=observed.residual.digest if observed.residual else None,
        scale=None if observed.spec.training.strategy is Strategy.DIRECT else observed.spec.residual.scale,
        data=observed.spec.data.uri,
        data_fingerprint=prepared.prepare.fingerprint if prepared and prepared.prepare else None,
        tokens=trained.train.tokens if trained and trained.train else 0,
        image=_image(observed.profile),
        config=seal.run.inputs,
    )


def _image(profile: ProfileSpec | None) -> str | None:
    return profile.image if profile else None
