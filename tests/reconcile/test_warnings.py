"""What a stage that ended well warns of reaches the model owner, once."""

import pytest

from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from tests.reconcile import world
from tests.reconcile.world import World

TEXT = "no data.replay"


def _told(place: World) -> list[str]:
    events = place.cluster.all(kinds.EVENT)
    return [event["message"] for event in events if event["reason"] == "StageWarning"]


@pytest.mark.parametrize("stage", [Stage.EXTRACT, Stage.PREPARE, Stage.MERGE])
def test_a_warning_is_told_once_as_an_event(stage: Stage) -> None:
    place = World()
    place.answers[stage] = world.warning(place.answers[stage], TEXT)
    place.settle()
    assert _told(place) == [f"{stage}: {TEXT}"]


def test_a_warning_stays_with_the_stage_that_said_it() -> None:
    place = World()
    place.answers[Stage.PREPARE] = world.warning(place.answers[Stage.PREPARE], TEXT)
    run = place.settle().run
    assert run is not None
    assert {stage.name: stage.warnings for stage in run.stages if stage.warnings} == {Stage.PREPARE: (TEXT,)}
