"""Profiles, Deployments and names that are not the tenant's: each refresh keeps to what was given to it."""

import asyncio
import datetime
from collections.abc import Mapping
from typing import Any

import pytest

from modelrefresh import errors, reconcile
from modelrefresh.api import names
from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.kube import kinds
from modelrefresh.plan import decide, prerequisites, profiles
from modelrefresh.plan.rollout import holding, serving
from modelrefresh.runtime.queue import Key
from tests import builders
from tests.attacks.catalogue import attack
from tests.plan.sights import NOW, a_deployment, a_meta, a_residual, a_sight
from tests.reconcile import world
from tests.reconcile.world import NAMESPACE, World

BY = "whoever may write a ModelRefresh"


def reason(edits: Mapping[str, object] | None = None, **change: Any) -> tuple[Reason, str]:  # noqa: ANN401 -- any field
    """What is said of a refresh with this profile."""
    observed = a_sight(profile=builders.profile_spec(edits), **change)
    summary = decide.decide(observed, NOW).summary
    return summary.reason, summary.message


@attack(19, does="a profile of another team", by=BY, ends="refused: ProfileNotForNamespace")
@pytest.mark.parametrize("allowed", [["sec-rich"], ["team"], ["team-a-2"], ["team-b", "ateam-a"]])
def test_a_profile_for_other_namespaces_starts_nothing(allowed: list[str]) -> None:
    said, message = reason({"spec.namespaces": allowed})
    assert said is Reason.PROFILE_NOT_FOR_NAMESPACE
    assert not any(f" {name} " in message for name in allowed)


@attack(
    19, does="a profile by labels that the namespace has not, or not all", by=BY, ends="refused: ProfileNotForNamespace"
)
@pytest.mark.parametrize("labels", [{}, {"gpu": "no"}, {"gpu": "yes"}, {"team": "ml"}])
def test_a_profile_for_other_labels_starts_nothing(labels: dict[str, str]) -> None:
    chosen = {"spec.namespaces": [], "spec.namespaceSelector": {"matchLabels": {"gpu": "yes", "team": "ml"}}}
    assert reason(chosen, namespace_labels=labels)[0] is Reason.PROFILE_NOT_FOR_NAMESPACE
    assert (
        reason(chosen, namespace_labels={"gpu": "yes", "team": "ml", "x": "y"})[0]
        is not Reason.PROFILE_NOT_FOR_NAMESPACE
    )


@attack(
    19,
    does="a profile that says nothing of namespaces, as before this release",
    by=BY,
    ends="refused: ProfileNotUsable, with the field",
)
def test_a_profile_of_before_is_told_by_its_own_fault() -> None:
    place = World()
    place.cluster.edit(kinds.REFRESH_PROFILE, lambda one: one["spec"].pop("namespaces"), name="default")
    place.survive(world.REFRESH)
    place.survive(world.REFRESH)
    ready = next(one for one in place.status().conditions if one.type == "Ready")
    assert (ready.reason, "spec.namespaces" in ready.message) == ("ProfileNotUsable", True)
    assert place.jobs() == []


@attack(
    19,
    does="a priority class of the cluster's own pods in a profile",
    by="an admin by mistake",
    ends="refused by schema and parser",
)
@pytest.mark.parametrize("name", ["system-cluster-critical", "system-node-critical"])
def test_no_stage_displaces_the_cluster_s_own_pods(name: str) -> None:
    with pytest.raises(errors.SpecError, match="class of the cluster's own pods"):
        builders.profile_spec({"spec.priorityClass": name})


_PREFIXES = [
    (["pvc://models", "pvc://corpus", "pvc://evals"], "pvc://models-of-the-other-team/x"),
    (["pvc://models", "pvc://corpus/public", "pvc://evals"], "pvc://corpus/public-embargoed/x"),
    (["pvc://models", "pvc://evals", "hf://meta-llama"], f"hf://meta-llama-evil/x@{'0' * 40}"),
]


@attack(
    20,
    does="a neighbour whose name begins as what is allowed",
    by=BY,
    ends="refused: ProfileForbids; prefixes end at a boundary",
)
@pytest.mark.parametrize(("allowed", "uri"), _PREFIXES)
def test_a_prefix_ends_at_a_boundary(allowed: list[str], uri: str) -> None:
    observed = a_sight({"spec.data.uri": uri}, profile=builders.profile_spec({"spec.allowedSources": allowed}))
    assert decide.decide(observed, NOW).summary.reason is Reason.PROFILE_FORBIDS


@attack(
    20,
    does="strategy Direct on an instruct model that this profile does not allow",
    by=BY,
    ends="refused: ProfileForbids",
)
def test_the_residual_s_models_are_allowed_by_the_refresh_s_own_profile() -> None:
    allowed = {"spec.allowedSources": ["pvc://models/base", "pvc://corpus", "pvc://evals"]}
    said, message = reason(allowed, residual=a_residual(instruct="pvc://models/secret"))
    assert (said, "pvc://models/secret" in message) == (Reason.PROFILE_FORBIDS, True)


_COSTS = [
    {"spec.training.epochs": "100", "spec.training.maxTokens": 100_000_000},
    {"spec.evaluation.maxItems": 100_000, "spec.evaluation.maxNewTokens": 4096},
    {"spec.training.checkpointSeconds": 1},
    {"spec.retain.versions": 100},
    {"spec.training.nodes": 64},
    {"spec.training.gpusPerNode": 16},
]


@attack(
    20,
    does="epochs, evaluation, checkpoints, versions, nodes beyond what a profile grants",
    by=BY,
    ends="refused: ProfileForbids, with figure and limit",
)
@pytest.mark.parametrize("edits", _COSTS, ids=str)
def test_every_cost_has_a_limit(edits: dict[str, object]) -> None:
    spec, profile = builders.refresh_spec(edits), builders.profile_spec()
    assert list(profiles.over_limits(spec, profile)) != []


@attack(20, does="an ordinary spec under an ordinary profile", by="an honest user", ends="granted")
def test_what_is_asked_by_default_is_granted_by_default() -> None:
    assert list(profiles.over_limits(builders.refresh_spec(), builders.profile_spec())) == []


@attack(
    21,
    does="a Deployment that its owner did not open",
    by=BY,
    ends="refused: TargetNotAllowed; nothing of it is written",
)
@pytest.mark.parametrize("allow", [None, "", "other", "new", "news2", "news-2,xnews"])
def test_a_deployment_that_does_not_say_so_is_not_changed(allow: str | None) -> None:
    place = World()

    def close(chat: dict[str, Any]) -> None:
        chat["metadata"]["annotations"] = {} if allow is None else {names.ANNOTATION_ALLOW: allow}

    place.cluster.edit(kinds.DEPLOYMENT, close, namespace=NAMESPACE, name="chat")
    before = _written(place)
    place.settle()
    assert _written(place) == before
    assert place.status().phase == "TargetNotAllowed"
    assert [job for job in place.jobs() if "extract" not in job["metadata"]["name"]] == []


@attack(
    21,
    does="consent that is taken back in the middle of a rollout",
    by="the Deployment's owner",
    ends="contained: nothing more is written",
)
def test_consent_that_is_taken_back_ends_all_writes() -> None:
    place = World()
    place.settle()
    place.cluster.edit(
        kinds.DEPLOYMENT,
        lambda chat: chat["metadata"]["annotations"].pop(names.ANNOTATION_ALLOW),
        namespace=NAMESPACE,
        name="chat",
    )
    place.choose("9" * 64)
    before = _written(place)
    for _ in range(4):
        asyncio.run(reconcile.one_pass(place.cluster, world.REFRESH, now=place.now))
    assert _written(place) == before


@attack(
    21,
    does="a Deployment that an operator before this release rolled",
    by="nobody: history",
    ends="goes on; the consent is written down once",
)
def test_a_deployment_that_was_rolled_before_goes_on() -> None:
    place = World()
    status_before = place.settle()

    def as_before(chat: dict[str, Any]) -> None:
        chat["metadata"]["annotations"] = {}

    place.cluster.edit(kinds.DEPLOYMENT, as_before, namespace=NAMESPACE, name="chat")
    after = place.settle()
    chat = place.cluster.peek(kinds.DEPLOYMENT, namespace=NAMESPACE, name="chat")
    assert chat is not None
    assert (after.phase, chat["metadata"]["annotations"][names.ANNOTATION_ALLOW]) == (status_before.phase, "news")


def _written(place: World) -> list[object]:
    """What the operator could have changed of the Deployment."""
    chat = place.cluster.peek(kinds.DEPLOYMENT, namespace=NAMESPACE, name="chat")
    assert chat is not None
    return [chat["spec"], chat["metadata"].get("annotations"), chat["metadata"].get("labels")]


def twin(place: World, name: str) -> RefreshStatus:
    """Another refresh of the same Deployment, after some passes over it."""
    document = builders.refresh(name=name)
    document["metadata"]["creationTimestamp"] = (place.now - datetime.timedelta(days=9)).isoformat()
    place.cluster.add(kinds.MODEL_REFRESH, document)
    key = Key(kind=names.REFRESH, namespace=NAMESPACE, name=name)
    for _ in range(6):
        asyncio.run(reconcile.one_pass(place.cluster, key, now=place.now))
    found = place.cluster.peek(kinds.MODEL_REFRESH, namespace=NAMESPACE, name=name)
    assert found is not None
    return RefreshStatus.read(found["status"])


@attack(
    22,
    does="a refresh that is called what the holder's label is cut to",
    by=BY,
    ends="contained: the holder is told by uid",
)
def test_a_shortened_name_takes_no_deployment_over() -> None:
    long = "n" * 70
    place = World()
    place.cluster.remove(kinds.MODEL_REFRESH, namespace=NAMESPACE, name="news")
    place.cluster.add(kinds.MODEL_REFRESH, builders.refresh(name=long))
    key = Key(kind=names.REFRESH, namespace=NAMESPACE, name=long)
    for _ in range(60):
        asyncio.run(reconcile.one_pass(place.cluster, world.RESIDUAL, now=place.now))
        asyncio.run(reconcile.one_pass(place.cluster, key, now=place.now))
        place.play()
        place.pass_time(20)
    generation = _generation(place)
    assert twin(place, names.short(long)).phase == "TargetConflict"
    assert _generation(place) == generation


def _generation(place: World) -> int:
    chat = place.cluster.peek(kinds.DEPLOYMENT, namespace=NAMESPACE, name="chat")
    assert chat is not None
    return int(chat["metadata"]["generation"])


@attack(
    22,
    does="two refreshes that come to a free Deployment at once",
    by=BY,
    ends="contained: one gets it, the other says who has it",
)
def test_of_two_that_come_at_once_one_gets_the_deployment() -> None:
    place = World()
    place.settle()
    before = place.served()
    assert twin(place, "twin").phase == "TargetConflict"
    assert place.served() == before
    hold = holding.hold
    observed = a_sight(target=a_deployment(holder="another"))
    plan = hold(prerequisites.ready(observed), NOW)
    assert plan is not None
    assert [action.version for action in plan.actions] == [observed.target.version]  # type: ignore[union-attr]  # it is there


@attack(
    23,
    does="a refresh that is called as another's ModelVersion begins",
    by=BY,
    ends="contained: names of children carry a hash of the uid",
)
@pytest.mark.parametrize("length", [3, 41, 50, 51, 63, 64, 253])
def test_no_two_refreshes_have_children_of_one_name(length: int) -> None:
    victim = "v" * length
    for other in {victim, names.short(victim, limit=41), names.short(victim, limit=50), names.short(victim)}:
        mine = names.version_name(refresh=victim, uid="u1", digest="5" * 64)
        assert names.version_name(refresh=other, uid="u2", digest="5" * 64) != mine
        jobs = {
            names.job_name(owner=one, uid=uid, run="retention", stage="sweep", attempt=1)
            for one, uid in ((victim, "u1"), (other, "u2"))
        }
        assert len(jobs) == 2
        assert all(len(name) <= 63 for name in (*jobs, mine))


@attack(
    23,
    does="a version that exists under the name that releases before gave",
    by="nobody: history",
    ends="is used as it is",
)
def test_a_version_of_before_keeps_its_name() -> None:
    observed = a_sight()
    work = prerequisites.ready(observed)
    assert serving.name_of(work, observed.versions[0].digest) == observed.versions[0].name
    assert serving.name_of(work, "9" * 64) == names.version_name(refresh="news", uid=a_meta().uid, digest="9" * 64)
