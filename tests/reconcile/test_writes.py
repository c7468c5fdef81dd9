"""How much a refresh costs the API server: each write is a flush of its store and an event to every watcher."""

from collections import Counter

from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from tests.reconcile import world
from tests.reconcile.world import World


def _again(place: World) -> Counter[str]:
    """Writes of one more promoted refresh by kind."""
    place.settle()
    before = len(place.cluster.writes)
    place.answers[Stage.PREPARE] = world.preparing("c" * 64)
    place.edit(lambda refresh: refresh["spec"]["data"].update(uri="pvc://corpus/other"))
    assert place.settle().phase == "Promoted"
    return Counter(write.kind for write in place.cluster.writes[before:])


def test_a_promoted_refresh_takes_at_most_sixteen_writes_besides_its_events() -> None:
    writes = _again(World())
    assert writes.total() - writes[kinds.EVENT.kind] <= 16


def test_a_promoted_refresh_tells_each_step_once() -> None:
    assert _again(World())[kinds.EVENT.kind] <= 10


def test_the_first_job_comes_with_the_status_that_opens_its_run() -> None:
    place = World()
    place.settle()
    statuses = [
        write for write in place.cluster.writes if (write.kind, write.verb) == (kinds.MODEL_REFRESH.kind, "put_status")
    ]
    opened = next(write for write in statuses if write.document["status"].get("run"))
    assert opened.document["status"]["run"]["stages"][0]["state"] == "Queued"


def test_a_job_that_waits_for_its_pod_is_not_written_about_again() -> None:
    place = World()
    while not place.jobs(Stage.IMPORT):
        place.one_pass(world.RESIDUAL)
        place.one_pass(world.REFRESH)
        if not place.jobs(Stage.IMPORT):
            place.play()
    before = len(place.cluster.writes)
    place.one_pass(world.REFRESH)
    assert len(place.cluster.writes) == before
