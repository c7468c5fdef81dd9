"""What each action does to the cluster, done once, done again, and done too late."""

import asyncio
from typing import Any

import pytest

from modelrefresh import errors
from modelrefresh.api import names
from modelrefresh.cluster.perform import Scene, perform
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh.contract.stages.sweep import SweepInput
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from modelrefresh.manifests.network import Network
from modelrefresh.plan.actions import (
    Action,
    AddFinalizer,
    DropVersion,
    MarkServed,
    RemoveFinalizer,
    SealVersion,
    Serve,
    StartStage,
    StopJob,
)
from tests import builders
from tests.plan.sights import a_meta, a_run, a_sight
from tests.reconcile.world import NAMESPACE, World

SWEEP = StageRequest(stage=Stage.SWEEP, owner="news", run="r1", section=SweepInput(runs=("r0",), versions=()))
START = StartStage(request=SWEEP, profile="p1")
SEAL = SealVersion(name="news-77777777", digest="7" * 64, run=a_run())


def uid_of(place: World, kind: kinds.Kind, name: str) -> str:
    """The uid of an object that is there."""
    found = place.cluster.peek(kind, namespace=NAMESPACE, name=name)
    assert found is not None
    uid: str = found["metadata"]["uid"]
    return uid


def do(place: World, *actions: Action, network: Network | None = None) -> None:
    """Perform actions upon the refresh as it is, each as its own pass would."""
    for action in actions:
        document = place.cluster.peek(kinds.MODEL_REFRESH, namespace=NAMESPACE, name="news")
        assert document is not None
        observed = a_sight(meta=a_meta(uid=document["metadata"]["uid"]))
        scene = Scene(observed=observed, document=document, network=network, now=place.now)
        asyncio.run(perform(place.cluster, action, scene))


def serve(uid: str) -> Serve:
    """Point the Deployment with this uid at a version."""
    return Serve(
        kind="Deployment",
        name="chat",
        uid=uid,
        container="server",
        path=f"/models/versions/{SEAL.digest}",
        version=SEAL.name,
        digest=SEAL.digest,
    )


def actions(place: World) -> dict[str, Action]:
    """One action of each sort, upon what this world holds."""
    version = place.cluster.add(kinds.MODEL_VERSION, builders.version(name="old"))["metadata"]["uid"]
    job = {"metadata": {"name": "old", "namespace": NAMESPACE}, "spec": {}}
    return {
        "AddFinalizer": AddFinalizer(),
        "RemoveFinalizer": RemoveFinalizer(),
        "StartStage": START,
        "StopJob": StopJob(name="old", uid=place.cluster.add(kinds.JOB, job)["metadata"]["uid"]),
        "SealVersion": SEAL,
        "MarkServed": MarkServed(name="old", target="chat"),
        "DropVersion": DropVersion(name="old", uid=version),
        "Serve": serve(uid_of(place, kinds.DEPLOYMENT, "chat")),
    }


@pytest.mark.parametrize("sort", actions(World()))
def test_an_action_that_is_done_again_changes_nothing(sort: str) -> None:
    place = World()
    action = actions(place)[sort]
    do(place, action)
    once = place.snapshot()
    do(place, action)
    assert place.snapshot() == once


def test_finalizers_of_others_stay() -> None:
    place = World()
    place.edit(lambda refresh: refresh["metadata"].update(finalizers=["example.org/theirs"]))
    do(place, AddFinalizer())
    both = _finalizers(place)
    do(place, RemoveFinalizer())
    assert (both, _finalizers(place)) == (["example.org/theirs", names.FINALIZER], ["example.org/theirs"])


@pytest.mark.parametrize(
    ("nodes", "network", "made"),
    [
        (1, None, ["Job"]),
        (2, None, ["Service", "Job"]),
        (2, Network(progress_from=()), ["NetworkPolicy", "Service", "Job"]),
    ],
)
def test_what_the_pods_of_a_stage_need_comes_before_its_job(
    nodes: int, network: Network | None, made: list[str]
) -> None:
    place = World()
    do(place, StartStage(request=SWEEP, profile="p1", nodes=nodes), network=network)
    assert [write.kind for write in place.cluster.writes] == made


def test_a_version_of_somebody_else_under_our_name_is_told_and_left_alone() -> None:
    place = World()
    place.cluster.add(kinds.MODEL_VERSION, builders.version(name=SEAL.name))
    before = place.snapshot()
    with pytest.raises(errors.InvalidError, match=f"ModelVersion team-a/{SEAL.name} exists and belongs to somebody"):
        do(place, SEAL)
    assert place.snapshot() == before


def test_a_version_that_retention_took_is_not_marked() -> None:
    place = World()
    do(place, MarkServed(name="gone", target="chat"))
    assert place.cluster.writes == []


def test_a_job_that_was_made_anew_under_its_name_is_not_stopped_for_the_old_one() -> None:
    place = World()
    place.cluster.add(kinds.JOB, {"metadata": {"name": "again", "namespace": NAMESPACE}, "spec": {}})
    with pytest.raises(errors.ConflictError):
        do(place, StopJob(name="again", uid="of-the-old-one"))
    assert [job["metadata"]["name"] for job in place.cluster.all(kinds.JOB)] == ["again"]


def test_a_target_that_was_deleted_meanwhile_is_not_made_again() -> None:
    place = World()
    uid = uid_of(place, kinds.DEPLOYMENT, "chat")
    place.cluster.remove(kinds.DEPLOYMENT, namespace=NAMESPACE, name="chat")
    with pytest.raises(errors.ConflictError):
        do(place, serve(uid))
    assert place.cluster.peek(kinds.DEPLOYMENT, namespace=NAMESPACE, name="chat") is None


def _finalizers(place: World) -> Any:  # noqa: ANN401 -- a field of a document
    refresh = place.cluster.peek(kinds.MODEL_REFRESH, namespace=NAMESPACE, name="news")
    assert refresh is not None
    return refresh["metadata"]["finalizers"]
