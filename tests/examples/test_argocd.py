"""Argo CD and kstatus tell the truth about our objects, and the files for Argo CD fit the others."""

import copy
import datetime
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import yaml

from examples.demo import manifests
from modelrefresh.api import names, spec
from modelrefresh.api.conditions import Reason
from modelrefresh.cluster import kinds
from modelrefresh.contract.env import Stage
from modelrefresh.contract.exit_codes import ExitCode
from tests.examples import argo, kstatus
from tests.passes import world
from tests.passes.world import NAMESPACE, World

FOLDER = manifests.FOLDER / "argocd"
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
    place.answers[Stage.PREPARE] = world.preparing("g" * 64)
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


def deleted(place: Watched) -> None:
    place.held = {Stage.TRAIN}
    place.settle()
    place.cluster.remove(kinds.MODEL_REFRESH, namespace=NAMESPACE, name="news")
    place.one_pass(world.REFRESH)


COURSES: Final[list[Callable[[Watched], None]]] = [
    promoted, rejected, failed, rolled_back, suspended, without_profile, without_target, with_a_residual_that_fails,
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
    place = Watched({"spec.rollout.approval": "Manual"})
    place.settle()
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
    assert place.settle().live == candidate.but(since=place.status().live.since if place.status().live else None)


def test_a_refresh_by_action_opens_a_run() -> None:
    place = Watched()
    run = place.settle().run
    token = argo.act("refresh", place.refresh())["metadata"]["annotations"]
    place.edit(lambda item: item["metadata"].update(annotations=token))
    opened = place.settle().run
    assert run is not None
    assert opened is not None
    assert opened.id != run.id


def files(*folder: str) -> dict[str, dict[str, Any]]:
    """Every object of a folder of examples, by kind and name."""
    found = [
        item
        for path in sorted(manifests.FOLDER.joinpath(*folder).glob("*.yaml"))
        for item in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]
    return {f"{item['kind']} {item['metadata']['name']} {path_of(item)}": item for item in found}


def path_of(item: dict[str, Any]) -> str:
    """The namespace, where there is one."""
    return str(item["metadata"].get("namespace", ""))


def test_the_team_s_files_say_what_the_numbered_examples_say() -> None:
    for name, number in (("serving", "02-serving"), ("residual", "03-residual"), ("refresh", "04-refresh")):
        team = list(yaml.safe_load_all((FOLDER / "team" / f"{name}.yaml").read_text()))
        numbered = list(yaml.safe_load_all((manifests.FOLDER / f"{number}.yaml").read_text()))
        assert [item["spec"] for item in team] == [item["spec"] for item in numbered]
        assert [path_of(item) for item in team] == [path_of(item) for item in numbered]


def test_what_holds_lineage_is_deleted_only_after_a_person_was_asked() -> None:
    for item in files("argocd", "team").values():
        asks = item["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-options")
        owns = item["kind"] in (names.REFRESH, names.RESIDUAL)
        assert asks == ("Prune=confirm,Delete=confirm" if owns else None)


def test_the_refresh_comes_in_the_last_wave() -> None:
    waves = {
        item["kind"]: int(item["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave", 0))
        for item in files("argocd", "team").values()
    }
    assert max(waves, key=waves.__getitem__) == names.REFRESH


def test_nothing_in_git_takes_what_the_operator_sets() -> None:
    for item in files("argocd", "team").values():
        assert "MODELREFRESH_MODEL" not in [
            entry["name"]
            for container in item["spec"].get("template", {}).get("spec", {}).get("containers", [])
            for entry in container.get("env", [])
        ]
        assert not {"suspend"} & item["spec"].keys()
        assert not {names.ANNOTATION_APPROVE, names.ANNOTATION_REFRESH} & item["metadata"].get("annotations", {}).keys()


@pytest.mark.parametrize("name", ["operator.yaml", "team.yaml"])
def test_no_application_replaces_objects_and_each_names_only_placeholders(name: str) -> None:
    application = yaml.safe_load((FOLDER / name).read_text())
    options = application["spec"]["syncPolicy"]["syncOptions"]
    assert not {"Replace=true", "Force=true"} & set(options)
    sources = application["spec"].get("sources") or [application["spec"]["source"]]
    assert {(source["repoURL"], source["targetRevision"]) for source in sources} == {("REPOSITORY", "REVISION")}
    assert all(
        (manifests.FOLDER.parent / source["path"]).exists() for source in sources if source["path"] != "PROFILES"
    )


def test_the_team_s_specs_are_accepted() -> None:
    found = files("argocd", "team").values()
    parsed = [spec.parse(spec.RefreshSpec, item["spec"]) for item in found if item["kind"] == names.REFRESH]
    residuals = [spec.parse(spec.ResidualSpec, item["spec"]) for item in found if item["kind"] == names.RESIDUAL]
    assert (len(parsed), len(residuals)) == (1, 1)
