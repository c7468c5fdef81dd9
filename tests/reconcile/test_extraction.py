"""An InstructionResidual whose stage fails: told, counted, tried again."""

import datetime

from modelrefresh.api.status.residual import ResidualStatus
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from tests.reconcile import world
from tests.reconcile.world import NAMESPACE, RESIDUAL, World


def _status(place: World) -> ResidualStatus:
    document = place.cluster.peek(kinds.INSTRUCTION_RESIDUAL, namespace=NAMESPACE, name=RESIDUAL.name)
    assert document is not None
    return ResidualStatus.read(document.get("status"))


def test_waiting_for_the_next_attempt_writes_nothing() -> None:
    place = World()
    place.answers[Stage.EXTRACT] = world.failing(ExitCode.BAD_INPUT, "ModelUnreadable", "no such folder")
    place.settle()
    before = len(place.cluster.writes)
    for _ in range(5):
        place.now += datetime.timedelta(seconds=3)
        place.one_pass(RESIDUAL)
    assert len(place.cluster.writes) == before


def test_each_failed_attempt_is_counted_once() -> None:
    place = World()
    place.answers[Stage.EXTRACT] = world.failing(ExitCode.BAD_INPUT, "ModelUnreadable", "no such folder")
    place.settle()
    place.wait(61)
    extract = _status(place).extract
    assert extract is not None
    assert (extract.attempt, extract.failures) == (2, 2)


def test_an_image_of_another_release_makes_one_job_an_hour_until_the_profile_changes() -> None:
    place = World()
    understands = place.answers[Stage.EXTRACT]
    place.answers[Stage.EXTRACT] = world.failing(ExitCode.BAD_INPUT, "InputInvalid", "unknown keys")
    place.settle()
    place.wait(1800)
    assert len(place.jobs(Stage.EXTRACT)) == 1
    assert next(item for item in _status(place).conditions if item.type == "Stalled").reason == "InputInvalid"
    place.answers[Stage.EXTRACT] = understands
    place.cluster.edit(kinds.REFRESH_PROFILE, lambda it: it["spec"].update(priorityClass="high"), name="default")
    place.settle()
    assert _status(place).digest is not None
    assert len(place.jobs(Stage.EXTRACT)) == 2
