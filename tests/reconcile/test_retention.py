"""What is kept and what goes after many runs."""

import pytest

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from tests.reconcile import world
from tests.reconcile.world import NAMESPACE, World

RUNS = 7


@pytest.fixture(scope="module")
def place() -> World:
    """A refresh after many promoted runs, with the smallest retention."""
    place = World({"spec.retain.runs": 1, "spec.retain.versions": 1})
    for number in range(RUNS):
        place.edit(lambda refresh, number=number: refresh["spec"].setdefault("training", {}).update(seed=number))
        place.settle()
    return place


def _digests(place: World) -> set[str]:
    return {item["spec"]["digest"] for item in place.cluster.all(kinds.MODEL_VERSION, namespace=NAMESPACE)}


def _swept(place: World) -> set[str]:
    requests = [world.request_of(job) for job in place.jobs(Stage.SWEEP)]
    return {digest for request in requests if request.section for digest in request.section.versions}


def test_versions_are_bounded(place: World) -> None:
    assert len(_digests(place)) <= 4  # live, previous, stock and one more


def test_live_previous_and_stock_are_kept(place: World) -> None:
    status = place.status()
    assert status.live is not None
    assert status.previous is not None
    assert status.stock is not None
    assert {status.live.digest, status.previous.digest, status.stock.digest} <= _digests(place)


def test_no_sweep_names_a_version_that_is_kept(place: World) -> None:
    assert not _swept(place) & _digests(place)


def test_jobs_are_bounded(place: World) -> None:
    assert len({world.request_of(job).run for job in place.jobs() if world.request_of(job).owner == "news"}) <= 3


def test_freed_bytes_are_reported(place: World) -> None:
    sweep = place.status().sweep
    assert sweep is not None
    assert sweep.total_bytes > sweep.freed_bytes > 0


def test_a_version_that_another_refresh_names_is_not_swept() -> None:
    place = World({"spec.retain.runs": 1, "spec.retain.versions": 1})
    place.settle()
    shared = place.served()
    twin = place.cluster.all(kinds.MODEL_VERSION, namespace=NAMESPACE)[-1]
    twin["spec"]["digest"] = shared
    twin["metadata"] = {"name": "other-1", "namespace": NAMESPACE, "labels": {"modelrefresh.dev/owner-uid": "other"}}
    place.cluster.add(kinds.MODEL_VERSION, twin)
    for number in range(1, 5):
        place.edit(lambda refresh, number=number: refresh["spec"].setdefault("training", {}).update(seed=number))
        place.settle()
    assert shared not in _swept(place)


def test_a_run_that_finds_no_room_is_followed_by_a_sweep() -> None:
    place = World({"spec.retain.runs": 50, "spec.retain.versions": 20})
    for number in range(RUNS):
        place.edit(lambda refresh, number=number: refresh["spec"].setdefault("training", {}).update(seed=number))
        place.settle()
    place.answers[Stage.MERGE] = world.failing(ExitCode.TRANSIENT, "InsufficientStorage", "full")
    place.edit(lambda refresh: refresh["spec"]["training"].update(seed=RUNS))
    place.wait(600)
    assert not place.jobs(Stage.SWEEP)
    place.edit(lambda refresh: refresh["spec"]["retain"].update(versions=1))
    run = place.wait(30).run
    assert _swept(place)
    assert run is not None
    assert run.outcome is None
