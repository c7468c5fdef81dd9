"""What a kubelet says in turns is written once: a status is no log."""

import itertools
from typing import Final

import pytest

from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.contract.vocabulary import Stage
from tests.fakes import controllers
from tests.reconcile import world
from tests.reconcile.world import NAMESPACE, World

IMAGE: Final = "registry.test/jobs@sha256"
Turn = tuple[str, str]
"""Reason and message of a container that waits."""
CAUSE: Final = 'rpc error: code = NotFound desc = failed to resolve reference "registry.test/jobs": not found'
OLD: Final[list[Turn]] = [("ErrImagePull", CAUSE), ("ImagePullBackOff", 'Back-off pulling image "registry.test/jobs"')]
NEW: Final[list[Turn]] = [
    ("ErrImagePull", CAUSE),
    ("ImagePullBackOff", f'Back-off pulling image "registry.test/jobs": ErrImagePull: {CAUSE}'),
]
SILENT: Final[list[Turn]] = [("ErrImagePull", ""), ("ImagePullBackOff", "")]


def waiting(stage: Stage) -> tuple[World, str]:
    """A world whose Job of this stage was made and has no pods yet; the Job's name."""
    place = World()
    place.refusals[stage] = "forbidden: exceeded quota"
    place.settle()
    return place, place.jobs(stage)[-1]["metadata"]["name"]


def look(place: World, seconds: float = 60) -> RefreshStatus:
    """One pass, some time later."""
    place.pass_time(seconds)
    place.one_pass(world.REFRESH)
    return place.status()


def told(found: RefreshStatus) -> str:
    """The message of Stalled, where it is True."""
    return next(item.message for item in found.conditions if (item.type, item.status) == ("Stalled", "True"))


@pytest.mark.parametrize("seconds", [15, 60])
@pytest.mark.parametrize("turns", [OLD, NEW, OLD[::-1], SILENT], ids=["old", "new", "pause-first", "silent"])
def test_two_words_for_one_image_are_written_once(seconds: float, turns: list[Turn]) -> None:
    place, job = waiting(Stage.TRAIN)
    written = []
    for word, message in itertools.islice(itertools.cycle(turns), 12):
        controllers.refuse_image(place.cluster, NAMESPACE, job, word=word, message=message)
        look(place, seconds)
        written.append(len(place.cluster.writes))
    assert written[-1] == written[2]
    assert IMAGE in told(place.status())
    assert turns is SILENT or CAUSE[:40] in told(place.status())


def test_another_cause_for_an_image_is_told() -> None:
    place, job = waiting(Stage.TRAIN)
    for message in ("no such host", "unauthorized"):
        controllers.refuse_image(place.cluster, NAMESPACE, job, word="ErrImagePull", message=message)
        look(place)
    assert "unauthorized" in told(place.status())


def test_two_warnings_of_one_pod_are_told_together_and_written_once() -> None:
    place, job = waiting(Stage.TRAIN)
    texts = ['MountVolume.SetUp failed for volume "a": not found', "AttachVolume.Attach failed: timed out"]
    for text in texts:
        controllers.stick_pod(place.cluster, NAMESPACE, job, message=text)
        look(place)
    before = len(place.cluster.writes)
    for text in texts * 5:
        controllers.stick_pod(place.cluster, NAMESPACE, job, message=text)
        look(place)
    assert len(place.cluster.writes) == before
    assert all(text in told(place.status()) for text in texts)


def test_a_warning_from_before_the_newest_good_news_is_not_told() -> None:
    place, job = waiting(Stage.TRAIN)
    controllers.stick_pod(place.cluster, NAMESPACE, job, message="the first volume is not there")
    look(place)
    controllers.attach_volume(place.cluster, NAMESPACE, job, volume="first")
    place.pass_time(60)
    controllers.stick_pod(place.cluster, NAMESPACE, job, message="the second volume is not there")
    assert "second" in told(look(place))
    assert "first" not in told(place.status())


def test_warnings_that_are_new_at_every_try_are_written_ever_more_seldom() -> None:
    place, job = waiting(Stage.TRAIN)
    before = len(place.cluster.writes)
    for number in range(40):
        text = f"try {number * 7919 % 1000:03d}: the volume is not there"
        controllers.stick_pod(place.cluster, NAMESPACE, job, message=text)
        look(place)
    assert len(place.cluster.writes) - before < 25
