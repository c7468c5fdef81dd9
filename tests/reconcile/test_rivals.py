"""Two refreshes, one Deployment: one of them rolls it, the other says who does."""

import asyncio
import datetime

from modelrefresh import reconcile
from modelrefresh.api import names
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.kube import kinds
from modelrefresh.runtime.queue import Key
from tests import builders
from tests.reconcile.world import NAMESPACE, World

TWIN = Key(kind=names.REFRESH, namespace=NAMESPACE, name="twin")


def _with_twin(place: World, *, age_seconds: float) -> RefreshStatus:
    """A second refresh of the same Deployment, after some passes over it."""
    born = place.now - datetime.timedelta(seconds=age_seconds)
    twin = builders.refresh(name=TWIN.name)
    twin["metadata"]["creationTimestamp"] = born.isoformat()
    place.cluster.add(kinds.MODEL_REFRESH, twin)
    for _ in range(4):
        asyncio.run(reconcile.one_pass(place.cluster, TWIN, now=place.now))
    document = place.cluster.peek(kinds.MODEL_REFRESH, namespace=NAMESPACE, name=TWIN.name)
    assert document is not None
    return RefreshStatus.read(document["status"])


def test_a_younger_refresh_leaves_the_deployment_to_the_older() -> None:
    place = World()
    place.settle()
    place.pass_time(60)
    assert _with_twin(place, age_seconds=0).phase == "TargetConflict"


def test_who_rolls_a_deployment_keeps_it_from_an_older_refresh() -> None:
    place = World()
    place.settle()
    assert _with_twin(place, age_seconds=9000).phase == "TargetConflict"
    assert place.settle().phase == "Promoted"


def test_a_deployment_whose_refresh_is_gone_is_free() -> None:
    place = World()
    place.settle()
    place.cluster.remove(kinds.MODEL_REFRESH, namespace=NAMESPACE, name="news")
    assert _with_twin(place, age_seconds=0).phase != "TargetConflict"
