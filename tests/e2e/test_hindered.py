"""What hinders a refresh on a real cluster: quotas, a paused Deployment, a variable that Git took over, an undo.

One namespace walks through the story; each fixture is one act of it and holds the status that was seen.
"""

import datetime
import json
from collections.abc import Callable
from typing import Final

import pytest

from modelrefresh.api import names
from tests.e2e import objects, run
from tests.e2e.place import Document, Place
from tests.jobs import builders

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]
_PATCH: Final = {"kind": "deployments", "name": objects.DEPLOYMENT}
_DEADLINE_SECONDS: Final = 20
_EDITS: Final[dict[str, object]] = {
    "spec.training.epochs": "1",
    "spec.rollout.approval": "Manual",
    "spec.rollout.progressDeadlineSeconds": _DEADLINE_SECONDS,
}


def _quota(place: Place, **hard: str) -> None:
    metadata = {"name": "hindered", "namespace": place.namespace}
    place.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}})
    place.wait(lambda: place.get("resourcequotas", "hindered").get("status", {}).get("used"), "the quota to count")


def _residual(place: Place) -> Document:
    status: Document = place.get("instructionresiduals", objects.RESIDUAL).get("status", {})
    return status


def _stalled(status: Document) -> tuple[str, str]:
    found = run.condition(status, "Stalled")
    return found["status"], found.get("reason", "")


@pytest.fixture(scope="module")
def place(new_place: Callable[[str], Place]) -> Place:
    return new_place("hindered")


@pytest.fixture(scope="module")
def refused(place: Place, pair: builders.Pair) -> Document:
    """A quota leaves no pod for the residual; its status then."""
    _quota(place, pods="0")
    place.furnish(pair)
    place.wait(lambda: _stalled(_residual(place))[0] == "True", "the refused pods to be told")
    return _residual(place)


@pytest.fixture(scope="module")
def forbidden(place: Place, refused: Document) -> Document:
    """The quota is raised, and another one leaves no Job for the refresh; its status then."""
    assert refused
    place.delete("resourcequotas", "hindered")
    place.wait(lambda: run.stored(place), "the residual to be stored")
    # A ReplicaSet that was refused for long tries again late, unless it changes.
    for replicas in (0, 1):
        place.patch({"spec": {"replicas": replicas}}, **_PATCH)
    place.await_server()
    _quota(place, **{"count/jobs.batch": "1"})
    place.apply(objects.refresh(place.namespace, _EDITS))
    place.wait(lambda: _stalled(place.status()) == ("True", "WriteRefused"), "the refused Job to be told")
    return place.status()


@pytest.fixture(scope="module")
def paused(place: Place, forbidden: Document) -> Document:
    """The quota goes, somebody pauses the Deployment and approves the candidate; the status after the deadline."""
    assert forbidden
    place.delete("resourcequotas", "hindered")
    place.wait(lambda: run.reads(place, "AwaitingApproval"), "a candidate to await approval")
    place.patch({"spec": {"paused": True}}, **_PATCH)
    place.approve(place.status()["candidate"]["version"])
    place.wait(lambda: run.reads(place, "TargetPaused", kind="RolledOut"), "the pause to be told")
    began = datetime.datetime.fromisoformat(place.status()["rollout"]["startTime"])
    late = began + datetime.timedelta(seconds=2 * _DEADLINE_SECONDS)
    place.wait(lambda: datetime.datetime.now(datetime.UTC) > late, "the deadline to pass")
    return place.status()


@pytest.fixture(scope="module")
def promoted(place: Place, paused: Document) -> Document:
    """The Deployment is resumed."""
    assert paused
    place.patch({"spec": {"paused": False}}, **_PATCH)
    return run.ended(place)


@pytest.fixture(scope="module")
def returned(place: Place, promoted: Document) -> Document:
    """Git takes the variable over and gives it up, by forced server-side apply."""
    assert promoted
    _sync(place, [{"name": names.MODEL_VARIABLE, "value": "/workspace/models/instruct"}])
    place.wait(lambda: run.reads(place, "TargetConflict"), "the conflict to be told")
    _sync(place, [])
    place.wait(lambda: run.reads(place, "Promoted"), "the live version to be named again")
    return place.status()


def _sync(place: Place, env: list[dict[str, str]]) -> None:
    metadata = {"name": objects.DEPLOYMENT, "namespace": place.namespace}
    containers = [{"name": "server", "env": [{"name": "HF_HUB_OFFLINE", "value": "1"}, *env]}]
    spec = {"template": {"spec": {"containers": containers}}}
    document = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    place.kubectl.run(
        *("apply", "--server-side", "--force-conflicts", "--field-manager=git", "--filename=-"),
        stdin=json.dumps(document),
    )


@pytest.fixture(scope="module")
def undone(place: Place, returned: Document) -> Document:
    """Somebody goes back by hand to the version before, as `kubectl rollout undo` does."""
    stock = returned["stock"]
    template = {
        "metadata": {"annotations": {names.ANNOTATION_DIGEST: stock["digest"]}},
        "spec": {"containers": [_pointed(stock["digest"])]},
    }
    place.kubectl.run(
        "patch",
        f"deployment/{objects.DEPLOYMENT}",
        f"--namespace={place.namespace}",
        f"--patch={json.dumps({'spec': {'template': template}})}",
    )
    place.wait(lambda: place.status()["live"]["version"] == stock["version"], "the choice to be adopted")
    place.await_server()
    run.settled(place)
    return place.status()


def _pointed(digest: str) -> Document:
    told = {"name": names.MODEL_VARIABLE, "value": f"/workspace/versions/{digest}"}
    return {"name": "server", "env": [told]}


def test_a_quota_that_leaves_no_pod_is_told_by_the_residual(refused: Document) -> None:
    assert _stalled(refused) == ("True", "PodsRefused")
    assert "exceeded quota: hindered" in run.condition(refused, "Stalled")["message"]


def test_a_refused_job_is_told_by_the_refresh(forbidden: Document) -> None:
    assert "exceeded quota: hindered" in run.condition(forbidden, "Stalled")["message"]


def test_a_pause_longer_than_the_deadline_condemns_nobody(paused: Document) -> None:
    assert "is paused" in run.condition(paused, "RolledOut")["message"]
    assert "held" not in paused or paused["held"] == []


def test_the_candidate_serves_once_the_deployment_is_resumed(promoted: Document) -> None:
    assert promoted["run"]["outcome"] == "Promoted"
    assert _stalled(promoted)[0] == "False"


def test_a_variable_that_git_gave_up_ends_the_conflict(returned: Document, place: Place) -> None:
    assert place.served() == returned["live"]["digest"]


def test_after_an_undo_ready_names_what_serves(undone: Document) -> None:
    message = run.condition(undone, "Ready")["message"]
    assert message.startswith(f"{undone['live']['version']} was chosen by hand")
