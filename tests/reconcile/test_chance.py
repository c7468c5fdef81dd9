"""Whole refreshes under chance: failures, users and crashes in any order, then peace.

Whatever happened, no impossible world is ever seen and no untrue word told (`World.check`), what is live and what
was live before is never deleted, and once nothing fails any more the refresh comes to rest.
"""

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelrefresh.api import names
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from tests.fakes import controllers
from tests.reconcile import world
from tests.reconcile.world import NAMESPACE, REFRESH, World

STEPS = 25


def _pass(place: World, _: int) -> None:
    place.survive(REFRESH)


def _play(place: World, _: int) -> None:
    place.play()


def _wait(place: World, number: int) -> None:
    place.pass_time(number * 30)


def _fail(place: World, number: int) -> None:
    codes = [code for code in ExitCode if code is not ExitCode.OK]
    stage = (Stage.PREPARE, Stage.TRAIN, Stage.MERGE, Stage.EVALUATE)[number % 4]
    place.answers[stage] = world.failing(codes[number % len(codes)])


def _mend(place: World, number: int) -> None:
    fresh = World()
    place.answers = fresh.answers | {Stage.EVALUATE: world.scoring(0.2 if number % 2 else -0.2)}


def _disrupt(place: World, _: int) -> None:
    for job in place.live_jobs():
        controllers.disrupt_job(place.cluster, NAMESPACE, job["metadata"]["name"])


def _delete_job(place: World, number: int) -> None:
    jobs = place.jobs()
    if jobs:
        job = jobs[number % len(jobs)]
        place.cluster.remove(kinds.JOB, namespace=NAMESPACE, name=job["metadata"]["name"])


def _edit_spec(place: World, number: int) -> None:
    place.edit(lambda refresh: refresh["spec"].setdefault("training", {}).update(seed=number))


def _suspend(place: World, number: int) -> None:
    place.edit(lambda refresh: refresh["spec"].update(suspend=bool(number % 2)))


def _ask(place: World, number: int) -> None:
    token = {names.ANNOTATION_REFRESH: str(number)}
    place.edit(lambda refresh: refresh["metadata"].setdefault("annotations", {}).update(token))


def _change_profile(place: World, number: int) -> None:
    place.cluster.edit(
        kinds.REFRESH_PROFILE, lambda profile: profile["spec"].update(priorityClass=f"p{number}"), name="default"
    )


def _break_rollouts(place: World, number: int) -> None:
    place.rollouts = bool(number % 2)


def _crash(place: World, number: int) -> None:
    place.cluster.crash_at(len(place.cluster.writes) + 1 + number % 3, before=bool(number % 2))


def _undo(place: World, _: int) -> None:
    previous = place.status().previous
    if previous is not None:
        place.choose(previous.digest)


def _pause(place: World, number: int) -> None:
    place.cluster.edit(
        kinds.DEPLOYMENT,
        lambda chat: chat["spec"].update(paused=number % 3 == 1),
        namespace=NAMESPACE,
        name="chat",
    )


def _scale(place: World, number: int) -> None:
    place.cluster.edit(
        kinds.DEPLOYMENT, lambda chat: chat["spec"].update(replicas=number % 3), namespace=NAMESPACE, name="chat"
    )


def _refuse(place: World, number: int) -> None:
    stage = (Stage.PREPARE, Stage.TRAIN, Stage.EVALUATE, Stage.SWEEP)[number % 4]
    place.refusals = {stage: "forbidden: exceeded quota"} if number % 2 else {}


EVENTS: dict[str, Callable[[World, int], None]] = {
    "pass": _pass,
    "play": _play,
    "wait": _wait,
    "fail": _fail,
    "mend": _mend,
    "disrupt": _disrupt,
    "delete-job": _delete_job,
    "edit": _edit_spec,
    "suspend": _suspend,
    "ask": _ask,
    "profile": _change_profile,
    "rollouts": _break_rollouts,
    "crash": _crash,
    "undo": _undo,
    "pause": _pause,
    "scale": _scale,
    "refuse": _refuse,
}
HAPPENINGS = st.lists(st.tuples(st.sampled_from(sorted(EVENTS)), st.integers(0, 40)), max_size=STEPS)


def _kept(place: World) -> None:
    """Live and previous versions are there."""
    status = place.status()
    there = {item["metadata"]["name"] for item in place.cluster.all(kinds.MODEL_VERSION, namespace=NAMESPACE)}
    for ref in (status.live, status.previous):
        assert ref is None or ref.version in there, f"{ref} was deleted"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(event_records=HAPPENINGS)
def test_whatever_happens_the_refresh_stays_sane_and_comes_to_rest(event_records: list[tuple[str, int]]) -> None:
    place = World({"spec.retain.runs": 1, "spec.retain.versions": 1})
    place.settle()
    for name, number in event_records:
        EVENTS[name](place, number)
        place.survive(REFRESH)
        place.play()
        _kept(place)
    place.cluster.heal()
    place.answers, place.rollouts = World().answers, True
    place.refusals = {}
    _suspend(place, 0)
    _pause(place, 0)
    _scale(place, 1)
    _edit_spec(place, 1000)
    place.settle(limit=300)
    status = place.wait(4000)
    _kept(place)
    assert status.run is not None
    assert status.run.outcome is not None
    assert status.live is not None
    assert place.served() == status.live.digest
