"""Argo CD and kstatus tell the truth about our objects."""

import contextlib
import copy
import datetime
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from modelrefresh import errors
from modelrefresh.api import names
from modelrefresh.api.conditions import Reason
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from tests.examples import argo, kstatus
from tests.fakes import controllers
from tests.reconcile import world
from tests.reconcile.world import NAMESPACE, World

AGREED: Final = {
    "Healthy": {"Current", "InProgress"},  # a run works while a version serves
    "Suspended": {"Current", "InProgress"},  # a rollout under way is brought to rest first
    "Progressing": {"InProgress", "Terminating"},
    "Degraded": {"Failed", "InProgress"},  # nothing serves, and kstatus has no word for that
}
"""What kstatus may say of an object with this health; never done of what is broken, nor broken of what is well."""
RECORDED: Final[list[tuple[str, tuple[bool | None, bool | None, bool | None], dict[str, Any], str]]] = [
    ("AwaitingApproval", (True, False, False), {}, "Suspended"),
    ("TargetConflict", (False, False, True), {}, "Degraded"),
    ("Deleting", (True, True, False), {"deleted": True}, "Progressing"),
    ("Failed", (True, False, True), {}, "Degraded"),
    ("Running", (False, True, False), {}, "Progressing"),
    ("Pending", (False, True, False), {}, "Progressing"),
    ("ProfileNotFound", (False, False, True), {}, "Degraded"),
    ("Promoted", (True, False, False), {}, "Healthy"),
    ("Queued", (False, True, False), {}, "Progressing"),
    ("Rejected", (False, False, False), {}, "Degraded"),
    ("Rejected", (True, False, False), {}, "Healthy"),
    ("ResidualNotReady", (False, True, False), {}, "Progressing"),
    ("RolledBack", (True, False, False), {}, "Healthy"),
    ("ProgressDeadlineExceeded", (True, False, True), {}, "Degraded"),
    ("Running", (True, True, False), {}, "Healthy"),
    ("Promoted", (True, False, False), {"observed": 2}, "Progressing"),
    ("Suspended", (True, False, False), {"suspend": True}, "Suspended"),
    ("InvalidSpec", (True, False, True), {"suspend": True}, "Degraded"),
]
"""Reason; Ready, Reconciling, Stalled; what else; health. Recorded from a real Argo CD but for the last."""


def recorded(reason: str, conditions: tuple[bool | None, ...], more: dict[str, Any]) -> dict[str, Any]:
    """A ModelRefresh in one of the recorded states."""
    metadata = {"name": "news", "namespace": "x", "generation": 3}
    if more.get("deleted"):
        metadata["deletionTimestamp"] = "2026-11-25T00:00:00Z"
    told = [
        {"type": kind, "status": str(value), "reason": reason, "message": "m"}
        for kind, value in zip(("Ready", "Reconciling", "Stalled"), conditions, strict=True)
    ]
    return {
        "kind": names.REFRESH,
        "metadata": metadata,
        "spec": {"suspend": more.get("suspend", False)},
        "status": {"observedGeneration": more.get("observed", 3), "conditions": told},
    }


class Watched(World):
    """A world that keeps every state that one of our objects was ever in."""

    def __init__(self, edits: dict[str, object] | None = None) -> None:
        """Watch from the start."""
        self.states: list[dict[str, Any]] = []
        super().__init__(edits)

    def check(self) -> None:
        """Look at the objects after each pass."""
        super().check()
        for kind in (kinds.MODEL_REFRESH, kinds.INSTRUCTION_RESIDUAL, kinds.MODEL_VERSION):
            self.states += [{**item, "kind": kind.kind} for item in self.cluster.all(kind, namespace=NAMESPACE)]

    def refresh(self) -> dict[str, Any]:
        """The refresh as it is now."""
        document = self.cluster.peek(kinds.MODEL_REFRESH, namespace=NAMESPACE, name="news")
        assert document is not None
        return {**copy.deepcopy(document), "kind": names.REFRESH}


def promoted(place: Watched) -> None:
    place.settle()


def rejected(place: Watched) -> None:
    place.answers[Stage.EVALUATE] = world.scoring(-0.2)
    place.settle()


def failed(place: Watched) -> None:
    place.answers[Stage.TRAIN] = world.failing(ExitCode.OUT_OF_MEMORY, "OutOfMemory")
    place.settle()


def rolled_back(place: Watched) -> None:
    place.settle()
    place.answers[Stage.PREPARE] = world.preparing("d" * 64)
    place.rollouts = False
    place.edit(lambda item: item["metadata"].setdefault("annotations", {}).update({names.ANNOTATION_REFRESH: "two"}))
    for _ in range(4):
        place.wait(1300)


def suspended(place: Watched) -> None:
    place.held = {Stage.TRAIN}
    place.settle()
    place.edit(lambda item: item["spec"].update(suspend=True))
    place.settle()


def without_profile(place: Watched) -> None:
    place.cluster.remove(kinds.REFRESH_PROFILE, name="default")
    place.settle()


def without_target(place: Watched) -> None:
    place.edit(lambda item: item["spec"]["rollout"]["deployment"].update(name="other"))
    place.settle()


def with_a_residual_that_fails(place: Watched) -> None:
    place.answers[Stage.EXTRACT] = world.failing(ExitCode.BAD_INPUT, "ModelUnreadable")
    for _ in range(3):
        place.one_pass(world.RESIDUAL)
        place.one_pass(world.REFRESH)
        place.play()
        place.now += datetime.timedelta(seconds=1)


def with_pods_that_are_refused(place: Watched) -> None:
    place.refusals[Stage.TRAIN] = "forbidden: exceeded quota: gpus"
    place.settle()
    place.wait(61)


def with_a_write_that_is_refused(place: Watched) -> None:
    place.cluster.fail("apply", kinds.DEPLOYMENT, errors.InvalidError("admission webhook denied it"), times=1000)
    for _ in range(30):
        for key in (world.RESIDUAL, world.REFRESH):
            with contextlib.suppress(errors.InvalidError):
                place.one_pass(key)
        place.play()
        place.now += datetime.timedelta(seconds=1)


def into(place: Watched, **settings: object) -> None:
    """A later candidate meets a Deployment with these settings."""
    place.settle()
    place.cluster.edit(kinds.DEPLOYMENT, lambda chat: chat["spec"].update(settings), namespace=NAMESPACE, name="chat")
    if settings.get("paused"):
        place.deploy = lambda place: controllers.deployment_paused(place.cluster, NAMESPACE, "chat")
    place.answers[Stage.PREPARE] = world.preparing("d" * 64)
    place.edit(lambda item: item["metadata"].setdefault("annotations", {}).update({names.ANNOTATION_REFRESH: "two"}))
    place.wait(60)


def frozen(place: Watched) -> None:
    into(place, paused=True)


def scaled_to_zero(place: Watched) -> None:
    into(place, replicas=0)


def with_a_warning(place: Watched) -> None:
    place.answers[Stage.PREPARE] = world.warning(place.answers[Stage.PREPARE], "no data.replay")
    place.settle()


def awaiting_approval(place: Watched) -> None:
    place.edit(lambda item: item["spec"]["rollout"].update(approval="Manual"))
    place.settle()


def deleted(place: Watched) -> None:
    place.held = {Stage.TRAIN}
    place.settle()
    place.cluster.remove(kinds.MODEL_REFRESH, namespace=NAMESPACE, name="news")
    place.one_pass(world.REFRESH)


COURSES: Final[list[Callable[[Watched], None]]] = [
    promoted, rejected, failed, rolled_back, suspended, without_profile, without_target, with_a_residual_that_fails,
    with_pods_that_are_refused, with_a_write_that_is_refused, frozen, scaled_to_zero, with_a_warning, awaiting_approval,
    deleted,
]  # fmt: skip


@pytest.mark.parametrize(("reason", "conditions", "more", "expected"), RECORDED)
def test_a_recorded_state_has_its_health_and_kstatus_does_not_contradict(
    reason: str, conditions: tuple[bool | None, ...], more: dict[str, Any], expected: str
) -> None:
    document = recorded(reason, conditions, more)
    assert argo.health(document)["status"] == expected
    assert kstatus.status(document) in AGREED[expected]


@pytest.mark.parametrize("course", COURSES, ids=lambda course: course.__name__)
def test_in_every_state_of_a_course_argo_cd_and_kstatus_agree(course: Callable[[Watched], None]) -> None:
    place = Watched()
    course(place)
    told = [state for state in place.states if (state.get("status") or {}).get("conditions")]
    assert {state["kind"] for state in told} >= {names.REFRESH}
    for state in told:
        health = argo.health(state)
        assert kstatus.status(state) in AGREED[health["status"]], (health, state["status"]["conditions"])
        assert health["status"] in ("Progressing", "Suspended") or ": " in health["message"]


@pytest.mark.parametrize(
    ("course", "expected", "reason"),
    [
        (promoted, "Healthy", Reason.PROMOTED),
        (rejected, "Healthy", Reason.REJECTED),
        (failed, "Degraded", Reason.FAILED),
        (without_profile, "Degraded", Reason.PROFILE_NOT_FOUND),
        (without_target, "Degraded", Reason.TARGET_NOT_FOUND),
        (with_pods_that_are_refused, "Degraded", Reason.PODS_REFUSED),
        (with_a_write_that_is_refused, "Degraded", Reason.WRITE_REFUSED),
        (frozen, "Degraded", Reason.TARGET_PAUSED),
        (scaled_to_zero, "Healthy", Reason.TARGET_SCALED_TO_ZERO),
        (with_a_warning, "Healthy", Reason.PROMOTED),
        (awaiting_approval, "Suspended", Reason.AWAITING_APPROVAL),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_where_a_course_ends_argo_cd_says_how_and_why(
    course: Callable[[Watched], None], expected: str, reason: Reason
) -> None:
    place = Watched()
    course(place)
    health = argo.health(place.refresh())
    assert (health["status"], health["message"].partition(":")[0]) == (expected, reason)


def test_an_object_that_nobody_has_looked_at_is_progressing() -> None:
    for kind in (names.REFRESH, names.RESIDUAL):
        assert argo.health({"kind": kind, "metadata": {"generation": 1}, "spec": {}})["status"] == "Progressing"


@pytest.mark.parametrize("kind", [kind.kind for kind in kinds.OWN])
@pytest.mark.parametrize(
    "rest",
    [
        {},
        {"spec": {}, "status": {}},
        {"status": {"observedGeneration": 1}},
        {"status": {"conditions": []}},
        {"status": {"conditions": [{"status": "True"}]}},
        {"status": {"conditions": [{"type": "Odd", "status": "True"}, {"type": "Stalled", "status": "Unknown"}]}},
        {"status": {"served": {}, "candidate": {}}},
    ],
)
def test_what_is_missing_or_unknown_is_neither_broken_nor_an_error(kind: str, rest: dict[str, Any]) -> None:
    document = {"kind": kind, "metadata": {"generation": 1}, **rest}
    expected = "Progressing" if kind in (names.REFRESH, names.RESIDUAL) else "Healthy"
    assert argo.health(document)["status"] == expected
    assert offered(document) == {"refresh", "suspend"}


def test_all_four_kinds_have_a_health() -> None:
    told = {key.rpartition("_")[2] for key in argo.TOLD if ".health." in key}
    assert told == {kind.kind for kind in kinds.OWN}


def test_a_version_says_its_verdict_and_where_it_serves() -> None:
    document = {"kind": names.MODEL_VERSION, "metadata": {}, "spec": {"verdict": "Passed"}}
    assert argo.health(document) == {"status": "Healthy", "message": "Passed"}
    served = document | {"status": {"served": {"deployment": "chat"}}}
    assert argo.health(served)["message"] == "Passed, serves in chat"


def offered(document: dict[str, Any]) -> set[str]:
    """Actions that are not greyed out."""
    return {name for name, item in argo.discover(document).items() if not item.get("disabled")}


def waiting_for_approval() -> Watched:
    place = Watched()
    awaiting_approval(place)
    return place


def test_every_action_that_is_offered_can_be_run_and_every_other_is_greyed_out() -> None:
    place = Watched()
    place.settle()
    assert set(argo.discover(place.refresh())) == argo.defined()
    assert offered(place.refresh()) == {"refresh", "suspend"}
    place.edit(lambda item: item["spec"].update(suspend=True))
    assert offered(place.refresh()) == {"resume"}
    assert offered(waiting_for_approval().refresh()) == {"refresh", "suspend", "approve"}


def changed(before: object, after: object, path: str = "") -> Iterator[str]:
    """Paths at which two documents differ; Lua cannot tell an empty list from an empty map."""
    if isinstance(before, list) and isinstance(after, list):
        before, after = dict(enumerate(before)), dict(enumerate(after))
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before.keys() | after.keys():
            yield from changed(before.get(key), after.get(key), f"{path}.{key}")
    elif before != after and (before or after):
        yield path


@pytest.mark.parametrize(
    ("action", "where"),
    [
        ("refresh", ".metadata.annotations"),
        ("suspend", ".spec.suspend"),
        ("approve", ".metadata.annotations"),
    ],
)
def test_an_action_changes_one_thing(action: str, where: str) -> None:
    document = waiting_for_approval().refresh()
    assert set(changed(document, argo.act(action, document))) == {where}


def test_approval_by_action_serves_the_candidate() -> None:
    place = waiting_for_approval()
    candidate = place.status().candidate
    assert candidate is not None
    place.edit(lambda item: item["metadata"].update(argo.act("approve", place.refresh())["metadata"]))
    assert place.settle().live == candidate.evolve(since=place.status().live.since if place.status().live else None)


def test_a_refresh_by_action_opens_a_run() -> None:
    place = Watched()
    run = place.settle().run
    token = argo.act("refresh", place.refresh())["metadata"]["annotations"]
    place.edit(lambda item: item["metadata"].update(annotations=token))
    opened = place.settle().run
    assert run is not None
    assert opened is not None
    assert opened.id != run.id
