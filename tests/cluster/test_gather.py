"""What a look at the cluster asks for, and what it makes of the answers."""

import asyncio

import pytest

from modelrefresh.api import names
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.cluster import gather
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from modelrefresh.kube.kinds import Kind
from modelrefresh.plan.observed import ObservedRefresh
from tests import builders
from tests.plan import sights
from tests.reconcile.world import NAMESPACE, World


def look(place: World) -> ObservedRefresh:
    """One look at the refresh of this world."""
    document = place.cluster.peek(kinds.MODEL_REFRESH, namespace=NAMESPACE, name="news")
    assert document is not None
    return asyncio.run(gather.refresh(place.cluster, document, place.now))


def asked(place: World) -> list[tuple[str, str]]:
    """The kind and the name or selector of each read of one look."""
    reads: list[tuple[str, str]] = []

    def note(_: str, kind: Kind, what: str) -> None:
        reads.append((kind.kind, what))

    place.cluster.before_read = note
    look(place)
    return reads


def remember(place: World, told: RefreshStatus) -> None:
    """Let the refresh have this status."""
    place.edit(lambda refresh: refresh.update(status=told.render()))


def with_versions(count: int) -> World:
    """A world that keeps one version, with so many of the refresh and one of somebody else."""
    place = World({"spec.retain.versions": 1})
    refresh = place.cluster.peek(kinds.MODEL_REFRESH, namespace=NAMESPACE, name="news")
    assert refresh is not None
    uid = refresh["metadata"]["uid"]
    for number in range(count):
        version = builders.version({"spec.digest": f"{number}" * 64}, name=f"own-{number}")
        version["metadata"] |= {"labels": {names.LABEL_OWNER_UID: uid}, "ownerReferences": [{"uid": uid}]}
        place.cluster.add(kinds.MODEL_VERSION, version)
    place.cluster.add(kinds.MODEL_VERSION, builders.version({"spec.digest": "9" * 64}, name="foreign"))
    return place


def test_every_claim_that_is_named_and_not_there_is_told_once_and_in_order() -> None:
    place = World({"spec.data.replay": {"uri": "pvc://corpus/general", "percent": 5}})
    for claim in ("workspace", "evals", "corpus"):
        place.cluster.remove(kinds.CLAIM, namespace=NAMESPACE, name=claim)
    assert look(place).missing_claims == ("corpus", "evals", "workspace")


def test_the_claims_of_a_stage_at_work_are_not_asked_for() -> None:
    place = World()
    remember(place, sights.at_work(Stage.TRAIN))
    assert [what for kind, what in asked(place) if kind == kinds.CLAIM.kind] == []


@pytest.mark.parametrize(("count", "foreign"), [(1, frozenset()), (2, {"9" * 64})], ids=["kept", "too many"])
def test_versions_of_others_are_looked_at_only_where_one_may_go(count: int, foreign: frozenset[str]) -> None:
    assert look(with_versions(count)).foreign_digests == foreign


def test_a_profile_that_is_written_in_another_order_is_the_same_profile() -> None:
    place = World()
    first = look(place).profile_hash
    profile = builders.profile()
    place.cluster.remove(kinds.REFRESH_PROFILE, name="default")
    place.cluster.add(kinds.REFRESH_PROFILE, profile | {"spec": dict(reversed(profile["spec"].items()))})
    assert look(place).profile_hash == first


@pytest.mark.parametrize(
    ("selector", "reads"), [({}, 0), ({"spec.namespaceSelector": {"matchLabels": {"models": "yes"}}}, 1)]
)
def test_labels_of_the_namespace_are_read_only_for_a_profile_that_goes_by_them(
    selector: dict[str, object], reads: int
) -> None:
    place = World()
    place.cluster.edit(
        kinds.REFRESH_PROFILE, lambda one: one.update(spec=builders.profile(selector)["spec"]), name="default"
    )
    assert asked(place).count((kinds.NAMESPACE.kind, NAMESPACE)) == reads


def test_a_residual_without_a_digest_is_not_ready_whatever_its_condition_says() -> None:
    place = World()
    ready = {"type": "Ready", "status": "True", "reason": "Succeeded", "message": "stored"}
    place.cluster.edit(
        kinds.INSTRUCTION_RESIDUAL,
        lambda residual: residual.update(status={"conditions": [ready]}),
        namespace=NAMESPACE,
        name="instruct",
    )
    residual = look(place).residual
    assert residual is not None
    assert (residual.ready, residual.message) == (False, "Succeeded: stored")


def test_who_holds_the_target_and_is_being_deleted_is_no_rival() -> None:
    place = World()
    twin = builders.refresh({"metadata.finalizers": [names.FINALIZER]}, name="twin")
    holder = place.cluster.add(kinds.MODEL_REFRESH, twin)
    marks = {names.ANNOTATION_HOLDER: "twin", names.ANNOTATION_HOLDER_UID: holder["metadata"]["uid"]}
    place.cluster.edit(
        kinds.DEPLOYMENT, lambda chat: chat["metadata"]["annotations"].update(marks), namespace=NAMESPACE, name="chat"
    )
    before = look(place).rival
    place.cluster.remove(kinds.MODEL_REFRESH, namespace=NAMESPACE, name="twin")
    assert (before, look(place).rival) == ("twin", None)
