"""A rollout that cannot be tried: told, and never held against the candidate."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from modelrefresh.api import names
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.api.status.run import Condition, Outcome
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from tests.fakes import controllers
from tests.reconcile import world
from tests.reconcile.world import NAMESPACE, STOCK, World

DAY: Final = 24 * 3600
RUNNING: Final = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
CRASHED: Final = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}}
Deploy = Callable[[World], None]


def paused(place: World) -> None:
    """Somebody has paused the Deployment."""
    place.cluster.edit(
        kinds.DEPLOYMENT, lambda chat: chat["spec"].update(paused=True), namespace=NAMESPACE, name="chat"
    )
    controllers.deployment_paused(place.cluster, NAMESPACE, "chat")


def over_quota(place: World) -> None:
    """The new ReplicaSet can make no pod."""
    controllers.deployment_refused(place.cluster, NAMESPACE, "chat", message="forbidden: exceeded quota: gpus")


def pod(place: World, **state: Any) -> None:  # noqa: ANN401 -- parts of a pod's status
    """The new ReplicaSet has one pod, in this state; the Deployment says what its controller says then."""
    controllers.deployment_progressing(place.cluster, NAMESPACE, "chat")
    controllers.deployment_pod(place.cluster, NAMESPACE, "chat", {"phase": "Pending", **state})


def no_node(place: World) -> None:
    """No node has room for the new pod."""
    unplaced = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes: 3 Insufficient nvidia.com/gpu"}
    pod(place, conditions=[unplaced])


def no_image(place: World) -> None:
    """The registry does not answer; the kubelet's two words for it alternate."""
    summary = "ErrImagePull" if place.passes % 2 else "ImagePullBackOff"
    container = {"name": "server", "image": "server:1", "state": {"waiting": {"reason": summary}}}
    pod(place, containerStatuses=[container])


def crashing(place: World) -> None:
    """The new pod ran and ended, again and again."""
    last = {"terminated": {"exitCode": 1, "reason": "Error"}}
    pod(place, containerStatuses=[{"name": "server", "state": CRASHED, "lastState": last, "restartCount": 3}])


def loading(place: World) -> None:
    """The new pod runs and is not ready."""
    pod(place, containerStatuses=[{"name": "server", "state": RUNNING}])


def crashing_over_quota(place: World) -> None:
    """One new pod crashes, and no other can be made."""
    crashing(place)
    over_quota(place)


def judged(deploy: Deploy) -> World:
    """A world whose second candidate has passed its gates and is on its way into such a Deployment."""
    place = World()
    place.settle()
    place.deploy = lambda place: deploy(place) if place.status().rollout else world.deploy(place)
    place.answers[Stage.PREPARE] = world.preparing("c" * 64)
    place.edit(lambda refresh: refresh["spec"]["data"].update(uri="pvc://corpus/other"))
    while place.status().rollout is None:
        place.one_pass(world.REFRESH)
        place.play()
    wait(place, 30)
    return place


def wait(place: World, seconds: int, *, step: int = 10) -> RefreshStatus:
    """Passes in so much time; a kubelet never rests, so the world need not."""
    for _ in range(seconds // step):
        place.pass_time(step)
        place.one_pass(world.REFRESH)
        place.play()
    return place.status()


def condition(status: RefreshStatus, kind: str) -> Condition:
    """One condition."""
    return next(item for item in status.conditions if item.type == kind)


HINDERED: Final = [
    (paused, "TargetPaused", "paused", True),
    (over_quota, "TargetHindered", "exceeded quota: gpus", True),
    (no_image, "ImagePullFailed", "cannot be pulled", True),
    (no_node, "Queued", "Insufficient nvidia.com/gpu", False),
]


@pytest.mark.parametrize(
    ("deploy", "reason", "said", "stalled"), HINDERED, ids=lambda value: getattr(value, "__name__", "")
)
def test_what_keeps_a_candidate_from_being_tried_is_told(
    deploy: Deploy, reason: str, said: str, *, stalled: bool
) -> None:
    status = judged(deploy).status()
    rolled_out = condition(status, "RolledOut")
    assert (rolled_out.status, rolled_out.reason) == ("False", reason)
    assert said in rolled_out.message
    assert (condition(status, "Stalled").status == "True") is stalled


@pytest.mark.parametrize("deploy", [row[0] for row in HINDERED])
def test_a_candidate_that_was_never_tried_is_not_condemned_and_serves_in_the_end(deploy: Deploy) -> None:
    place = judged(deploy)
    status = wait(place, 6000, step=100)
    assert status.run is not None
    assert (status.run.outcome, status.held) == (None, ())
    resume(place)
    status = place.settle()
    assert status.run is not None
    assert (status.run.outcome, place.served()) == (Outcome.PROMOTED, status.live.digest if status.live else "")


def resume(place: World) -> None:
    """What hindered is over."""
    place.deploy = world.deploy
    place.cluster.edit(
        kinds.DEPLOYMENT, lambda chat: chat["spec"].update(paused=False), namespace=NAMESPACE, name="chat"
    )


@pytest.mark.parametrize("deploy", [row[0] for row in HINDERED])
def test_a_hindrance_that_lasts_is_written_once(deploy: Deploy) -> None:
    place = judged(deploy)
    before = len(place.cluster.writes)
    wait(place, 3000, step=30)
    assert len(place.cluster.writes) == before


@pytest.mark.parametrize("deploy", [row[0] for row in HINDERED])
def test_the_time_counts_anew_when_the_hindrance_is_over(deploy: Deploy) -> None:
    place = judged(deploy)
    wait(place, 3000, step=100)
    resume(place)
    place.deploy = loading
    assert wait(place, 1100, step=50).held == ()
    assert wait(place, 300, step=50).held != ()


@pytest.mark.parametrize("deploy", [crashing, loading, crashing_over_quota])
def test_a_candidate_that_was_tried_and_did_not_come_up_is_held(deploy: Deploy) -> None:
    place = judged(deploy)
    status = wait(place, 1300, step=50)
    assert status.run is not None
    assert (status.run.outcome, len(status.held)) == (Outcome.ROLLED_BACK, 1)


def test_how_the_candidates_container_ended_is_told() -> None:
    told = condition(judged(crashing).status(), "RolledOut").message
    assert "container server of pod chat-new ended with exit code 1 (Error)" in told


def scale(place: World, replicas: int) -> None:
    """A person or an autoscaler changes the number of replicas."""
    place.cluster.edit(
        kinds.DEPLOYMENT, lambda chat: chat["spec"].update(replicas=replicas), namespace=NAMESPACE, name="chat"
    )


def test_a_candidate_is_not_promoted_in_a_deployment_without_replicas() -> None:
    place = World()
    place.settle()
    scale(place, 0)
    place.answers[Stage.PREPARE] = world.preparing("c" * 64)
    place.edit(lambda refresh: refresh["spec"]["data"].update(uri="pvc://corpus/other"))
    place.settle()
    waiting = place.wait(DAY)
    assert (waiting.phase, condition(waiting, "Reconciling").status) == ("TargetScaledToZero", "True")
    assert waiting.held == ()
    scale(place, 1)
    status = place.settle()
    assert status.live is not None
    assert status.candidate is not None
    assert (status.phase, status.live.digest) == ("Promoted", status.candidate.digest)


def test_version_zero_does_not_wait_for_replicas() -> None:
    place = World()
    scale(place, 0)
    place.held.add(Stage.TRAIN)
    status = place.settle()
    assert status.live is not None
    assert status.live.digest == STOCK
    assert len(place.live_jobs()) == 1


def test_a_deployment_without_replicas_is_not_said_to_serve() -> None:
    place = World()
    place.settle()
    scale(place, 0)
    status = place.settle()
    assert condition(status, "RolledOut").status == "False"
    assert not any(item.message.endswith("serves") for item in status.conditions)
    assert "no replicas: nothing is served" in condition(status, "Ready").message


def test_a_version_may_take_as_much_longer_as_its_pods_must_be_ready() -> None:
    place = judged(loading)
    place.cluster.edit(
        kinds.DEPLOYMENT, lambda chat: chat["spec"].update(minReadySeconds=3600), namespace=NAMESPACE, name="chat"
    )
    assert wait(place, 4500, step=100).held == ()
    assert wait(place, 500, step=100).held != ()


def in_git(variable: dict[str, str] | None) -> dict[str, Any]:
    """The Deployment as another manager applies it, with or without our variable."""
    env = [{"name": "HF_HUB_OFFLINE", "value": "1"}, *([variable] if variable else [])]
    chat = world.deployment()
    chat["spec"]["template"]["spec"]["containers"][0]["env"] = env
    return chat


def synced(place: World, variable: dict[str, str] | None) -> RefreshStatus:
    """After a sync of that from Git, by forced server-side apply."""
    place.cluster.apply_as("argocd-controller", kinds.DEPLOYMENT, in_git(variable))
    place.settle()
    return place.wait(40)


def entry(place: World) -> dict[str, Any] | None:
    """The server's entry of our variable."""
    chat = place.cluster.peek(kinds.DEPLOYMENT, namespace=NAMESPACE, name="chat")
    assert chat is not None
    env = chat["spec"]["template"]["spec"]["containers"][0]["env"]
    return next((item for item in env if item["name"] == names.MODEL_VARIABLE), None)


def test_a_variable_that_git_took_over_and_gave_up_names_the_live_version_again() -> None:
    place = World()
    place.settle()
    assert synced(place, None).phase == "Promoted"
    assert synced(place, {"name": names.MODEL_VARIABLE, "value": "/models/mine"}).phase == "TargetConflict"
    place.cluster.apply_as("argocd-controller", kinds.DEPLOYMENT, in_git(None))
    assert entry(place) == {"name": names.MODEL_VARIABLE}
    place.settle()
    status = place.wait(40)
    assert status.live is not None
    assert (status.phase, entry(place)) == (
        "Promoted",
        {"name": names.MODEL_VARIABLE, "value": f"/models/versions/{status.live.digest}"},
    )


def told_by(place: World, entry: dict[str, Any]) -> RefreshStatus:
    """The status after somebody writes this entry by hand."""

    def put(chat: dict[str, Any]) -> None:
        chat["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": names.MODEL_VARIABLE, **entry}]

    place.cluster.edit(kinds.DEPLOYMENT, put, namespace=NAMESPACE, name="chat")
    return place.settle()


@pytest.mark.parametrize("empty", [{}, {"value": ""}, {"valueFrom": {}}, {"valueFrom": None}])
def test_an_empty_variable_is_no_rival(empty: dict[str, Any]) -> None:
    place = World()
    place.settle()
    assert told_by(place, empty).phase == "Promoted"


@pytest.mark.parametrize("source", ["configMapKeyRef", "secretKeyRef", "fieldRef"])
def test_a_variable_that_comes_from_elsewhere_is_a_rival(source: str) -> None:
    place = World()
    place.settle()
    status = told_by(place, {"valueFrom": {source: {"name": "x", "key": "y"}}})
    assert status.phase == "TargetConflict"
    assert f"{names.MODEL_VARIABLE}=valueFrom.{source}" in condition(status, "Ready").message
    assert condition(status, "RolledOut").status == "False"


def test_after_an_undo_by_hand_ready_names_what_serves_and_what_is_held() -> None:
    place = World()
    candidate = place.settle().live
    place.choose(STOCK)
    place.settle()
    ready = condition(place.wait(DAY), "Ready")
    assert candidate is not None
    stock = place.status().stock
    assert stock is not None
    assert (ready.reason, ready.message) == (
        "Serving",
        f"{stock.version} was chosen by hand; {candidate.version} is held back",
    )
