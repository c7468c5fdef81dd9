"""What becomes of a Deployment that people change while it serves."""

from collections.abc import Callable
from typing import Any

import pytest

from modelrefresh.api import names
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from tests.reconcile import world
from tests.reconcile.world import NAMESPACE, World

Change = Callable[[dict[str, Any]], object]


def loads(place: World) -> str | None:
    """What the server's container is told to load."""
    chat = place.cluster.peek(kinds.DEPLOYMENT, namespace=NAMESPACE, name="chat")
    assert chat is not None
    [container] = chat["spec"]["template"]["spec"]["containers"]
    told = {item["name"]: item.get("value") for item in container.get("env") or ()}
    return told.get(names.MODEL_VARIABLE)


def served(change: Change) -> World:
    """A refresh whose first candidate serves, in a Deployment that was changed since and came to rest."""
    place = World()
    place.settle()

    def edit(chat: dict[str, Any]) -> None:
        change(chat["spec"]["template"]["spec"]["containers"][0])

    place.cluster.edit(kinds.DEPLOYMENT, edit, namespace=NAMESPACE, name="chat")
    place.settle()
    return place


@pytest.mark.parametrize(
    ("change", "root"),
    [
        (lambda container: container.update(name="renamed", env=[]), "/models"),
        (lambda container: container["volumeMounts"][0].update(mountPath="/weights"), "/weights"),
    ],
    ids=["renamed container", "moved mount"],
)
def test_a_container_that_lost_its_version_gets_it_again(change: Change, root: str) -> None:
    place = served(change)
    assert loads(place) == f"{root}/versions/{place.served()}"


def test_a_value_of_somebody_else_stays_and_is_told() -> None:
    place = served(lambda container: container["env"][0].update(value="/models/mine"))
    ready = next(item for item in place.status().conditions if item.type == "Ready")
    assert loads(place) == "/models/mine"
    assert (ready.status, ready.reason) == ("False", "TargetConflict")


def test_a_value_that_is_taken_back_ends_the_conflict() -> None:
    place = served(lambda container: container["env"][0].update(value="/models/mine"))

    def take_back(chat: dict[str, Any]) -> None:
        chat["spec"]["template"]["spec"]["containers"][0]["env"] = []

    place.cluster.edit(kinds.DEPLOYMENT, take_back, namespace=NAMESPACE, name="chat")
    ready = next(item for item in place.settle().conditions if item.type == "Ready")
    assert (ready.status, loads(place)) == ("True", f"/models/versions/{place.served()}")


def test_a_changed_deployment_that_serves_again_causes_no_write() -> None:
    place = served(lambda container: container["volumeMounts"][0].update(mountPath="/weights"))
    before = len(place.cluster.writes)
    place.settle()
    assert len(place.cluster.writes) == before


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_container_is_pointed_again_whichever_write_the_operator_dies_at(*, before: bool) -> None:
    for number in range(1, 6):
        place = World()
        place.settle()
        place.cluster.crash_at(len(place.cluster.writes) + number, before=before)

        def rename(chat: dict[str, Any]) -> None:
            chat["spec"]["template"]["spec"]["containers"][0].update(name="renamed", env=[])

        place.cluster.edit(kinds.DEPLOYMENT, rename, namespace=NAMESPACE, name="chat")
        place.settle()
        assert loads(place) == f"/models/versions/{place.served()}", f"write {number}"


def test_a_changed_spec_stops_the_old_run_although_the_variable_is_in_dispute() -> None:
    place = World()
    place.settle()
    place.held.add(Stage.TRAIN)
    place.edit(lambda refresh: refresh["spec"]["data"].update(uri="pvc://corpus/other"))
    old = place.settle().run

    def dispute(chat: dict[str, Any]) -> None:
        chat["spec"]["template"]["spec"]["containers"][0]["env"][0].update(value="/models/mine")

    place.cluster.edit(kinds.DEPLOYMENT, dispute, namespace=NAMESPACE, name="chat")
    place.edit(lambda refresh: refresh["spec"]["data"].update(uri="pvc://corpus/newer"))
    place.settle()
    assert old is not None
    assert old.id not in {world.request_of(job).run for job in place.live_jobs()}
