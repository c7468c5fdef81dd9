"""What others may put beside a refresh, or do to it between two writes: passes go on."""

import asyncio
import dataclasses

import pytest

from modelrefresh import reconcile
from modelrefresh.api import names
from modelrefresh.api.status.run import Outcome
from modelrefresh.cluster import gather
from modelrefresh.contract import stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.result import Result
from modelrefresh.contract.stages.merge import MergeSummary
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from tests import builders
from tests.reconcile import world
from tests.reconcile.world import NAMESPACE, World


def _uid(place: World) -> str:
    refresh = place.cluster.peek(kinds.MODEL_REFRESH, namespace=NAMESPACE, name="news")
    assert refresh is not None
    uid: str = refresh["metadata"]["uid"]
    return uid


@pytest.mark.parametrize("kind", [kinds.JOB, kinds.POD], ids=lambda kind: kind.kind)
@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"run": "r", "stage": "train"},
        {"run": "r", "stage": "brew", "attempt": "1"},
        {"run": "r", "stage": "train", "attempt": "x"},
    ],
    ids=["bare", "no-attempt", "unknown-stage", "no-number"],
)
def test_a_stranger_that_wears_our_labels_wrongly_stops_nothing(kind: kinds.Kind, labels: dict[str, str]) -> None:
    place = World()
    marks = {names.LABEL_OWNER_UID: _uid(place)} | {f"{names.GROUP}/{key}": value for key, value in labels.items()}
    stranger = {"metadata": {"name": "stranger", "namespace": NAMESPACE, "labels": marks}}
    place.one_pass(world.REFRESH)
    place.cluster.add(kind, stranger)
    asyncio.run(reconcile.one_pass(place.cluster, world.REFRESH, now=place.now))
    assert place.status().phase


@pytest.mark.parametrize("mine", [True, False], ids=["own", "of-another"])
@pytest.mark.parametrize("spec", [{}, {"digest": 7}, {"digest": "9" * 64, "verdict": []}])
def test_a_version_that_cannot_be_read_stops_nothing(spec: object, *, mine: bool) -> None:
    place = World({"spec.retain.versions": 1})
    place.one_pass(world.REFRESH)
    uid = _uid(place) if mine else "another"
    owner = [{"apiVersion": names.API_VERSION, "kind": names.REFRESH, "name": "news", "uid": uid}]
    marks = {names.LABEL_OWNER_UID: uid}
    strange = {"name": "strange", "namespace": NAMESPACE, "labels": marks, "ownerReferences": owner}
    place.cluster.add(kinds.MODEL_VERSION, {"metadata": strange, "spec": spec})
    seen = asyncio.run(gather.refresh(place.cluster, place.cluster.all(kinds.MODEL_REFRESH)[0], place.now))
    assert seen.versions == ()
    asyncio.run(reconcile.one_pass(place.cluster, world.REFRESH, now=place.now))
    assert place.status().phase


def test_bytes_that_were_rejected_and_pass_later_are_recorded_as_passed() -> None:
    place = World()
    place.answers[Stage.MERGE] = _same_bytes
    place.answers[Stage.EVALUATE] = world.scoring(-0.2)
    place.settle()
    place.answers[Stage.EVALUATE] = world.scoring(0.2)
    place.edit(lambda refresh: refresh["spec"]["evaluation"]["gates"][0].update(minDifference="0.01"))
    status = place.settle()
    assert status.live is not None
    version = place.cluster.peek(kinds.MODEL_VERSION, namespace=NAMESPACE, name=status.live.version)
    assert version is not None
    assert (place.served(), version["spec"]["verdict"]) == ("9" * 64, "Passed")


def test_a_token_that_comes_again_opens_another_run() -> None:
    place = World()
    place.settle()
    runs = [_asked(place, token) for token in ("one", "two", "one")]
    assert len(set(runs)) == 3


def test_a_failure_while_the_profile_is_away_does_not_use_up_the_limit() -> None:
    place = World()
    place.held.add(Stage.TRAIN)
    place.settle()
    place.held.clear()
    profile = place.cluster.peek(kinds.REFRESH_PROFILE, name="default")
    assert profile is not None
    place.cluster.remove(kinds.REFRESH_PROFILE, name="default")
    place.answers[Stage.TRAIN] = world.failing(ExitCode.INTERNAL)
    place.play()
    place.one_pass(world.REFRESH)
    place.cluster.add(kinds.REFRESH_PROFILE, builders.profile())
    place.one_pass(world.REFRESH)
    status = place.status()
    assert status.run is not None
    assert status.run.outcome is not Outcome.FAILED


def test_a_new_target_gets_the_live_version_and_the_old_one_is_left_alone() -> None:
    place = World()
    first = place.settle().live
    assert first is not None
    other = world.deployment()
    other["metadata"]["name"] = "other"
    place.cluster.add(kinds.DEPLOYMENT, other)
    place.edit(lambda refresh: refresh["spec"]["rollout"]["deployment"].update(name="other"))
    for _ in range(4):
        place.one_pass(world.REFRESH)
    there = place.cluster.peek(kinds.DEPLOYMENT, namespace=NAMESPACE, name="other")
    assert there is not None
    assert there["spec"]["template"]["metadata"]["annotations"][names.ANNOTATION_DIGEST] == first.digest
    assert place.served() == first.digest


@pytest.mark.parametrize(
    "change",
    [{"stage": Stage.PREPARE}, {"run": "another"}],
    ids=["of-another-stage", "of-another-run"],
)
def test_an_evaluation_that_answers_something_else_never_passes(change: dict[str, object]) -> None:
    place = World()
    right = world.scoring(0.2)
    place.answers[Stage.EVALUATE] = lambda request: dataclasses.replace(right(request), **change)
    for _ in range(40):
        place.survive(world.RESIDUAL)
        place.survive(world.REFRESH)
        place.play()
    assert place.served() == world.STOCK


def test_an_evaluation_of_another_model_never_passes() -> None:
    place = World()
    place.answers[Stage.EVALUATE] = _of_another
    status = place.settle()
    assert status.run is not None
    assert (status.run.outcome, place.served()) == (Outcome.REJECTED, world.STOCK)


def _asked(place: World, token: str) -> str:
    place.edit(lambda refresh: refresh["metadata"].update(annotations={names.ANNOTATION_REFRESH: token}))
    run = place.settle().run
    assert run is not None
    return run.id


def _same_bytes(request: stage_request.StageRequest) -> Result:
    summary = MergeSummary(digest="9" * 64, parameters=1, bytes=1, drift=0.1, residual_norm=0.1, alignment=0.0)
    return world.answer(request, summary)


def _of_another(request: stage_request.StageRequest) -> Result:
    told = world.scoring(0.2)(request)
    return dataclasses.replace(told, summary=dataclasses.replace(told.summary, candidate="8" * 64))
