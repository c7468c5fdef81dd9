"""A ModelRefresh that is deleted in the middle of a stage: its Jobs go, what serves stays."""

import pytest

from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from tests.reconcile import world
from tests.reconcile.world import NAMESPACE, REFRESH, World

STAGES = (Stage.IMPORT, Stage.PREPARE, Stage.TRAIN, Stage.MERGE, Stage.EVALUATE)


@pytest.mark.parametrize("stage", STAGES)
def test_deletion_in_any_stage_takes_the_jobs_and_leaves_the_deployment(stage: Stage) -> None:
    place = World()
    place.held.add(stage)
    place.settle()
    served = place.served()
    place.edit(lambda refresh: refresh["metadata"].update(deletionTimestamp="2026-11-23T00:00:00Z"))
    for _ in range(6):
        place.one_pass(REFRESH)
    assert place.cluster.peek(kinds.MODEL_REFRESH, namespace=NAMESPACE, name=REFRESH.name) is None
    assert not [job for job in place.jobs() if world.request_of(job).owner == REFRESH.name]
    assert place.served() == served
