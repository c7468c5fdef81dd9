"""A Deployment as a rollout sees it, and what is written to it."""

from typing import Any

import pytest

from modelrefresh.api import names
from modelrefresh.plan.actions import Hold, Serve
from modelrefresh.targets import deployment
from tests.plan.sights import a_meta
from tests.reconcile import world

DIGEST = "7" * 64
PATH = f"/m/versions/{DIGEST}"
SERVE = Serve(kind="Deployment", name="chat", uid="d1", container="server", path=PATH, version="v", digest=DIGEST)


def a_deployment(**status: Any) -> dict[str, Any]:  # noqa: ANN401 -- fields of a status
    """The user's Deployment with this status."""
    made = world.deployment()
    made["metadata"] |= {"uid": "d1", "generation": 2}
    return made | {
        "status": {"observedGeneration": 2, "updatedReplicas": 1, "replicas": 1, "availableReplicas": 1} | status
    }


def test_a_deployment_whose_replicas_are_all_new_and_available_is_settled() -> None:
    assert deployment.read(a_deployment(), workspace="workspace").settled


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({"observedGeneration": 1}, "has not seen the newest template"),
        ({"updatedReplicas": 0}, "0 of 1 replicas are updated"),
        ({"replicas": 2}, "1 old replicas are left"),
        ({"availableReplicas": 0}, "0 of 1 replicas are available"),
    ],
)
def test_a_deployment_that_is_not_settled_says_what_is_missing(status: dict[str, int], message: str) -> None:
    observed = deployment.read(a_deployment(**status), workspace="workspace")
    assert not observed.settled
    assert message in observed.message


@pytest.mark.parametrize("text", ["", "../../etc", DIGEST.replace("7", "G"), DIGEST + "7"])
def test_what_is_no_digest_is_not_taken_for_one(text: str) -> None:
    chat = a_deployment()
    chat["spec"]["template"]["metadata"] = {"annotations": {names.ANNOTATION_DIGEST: text}}
    assert deployment.read(chat, workspace="workspace").digest is None


@pytest.mark.parametrize("part", [{"subPath": "versions"}, {"subPathExpr": "$(X)"}])
def test_a_part_of_the_claim_is_no_mount_of_it(part: dict[str, str]) -> None:
    chat = a_deployment()
    chat["spec"]["template"]["spec"]["containers"][0]["volumeMounts"][0] |= part
    assert deployment.read(chat, workspace="workspace").mounts == {}


def test_a_claim_of_another_name_is_no_mount_of_the_workspace() -> None:
    assert deployment.read(a_deployment(), workspace="another").mounts == {}


def test_what_was_written_is_what_is_seen() -> None:
    chat, body = a_deployment(), deployment.serve(SERVE, meta=a_meta())
    chat["spec"]["template"]["metadata"] = body["spec"]["template"]["metadata"]
    chat["spec"]["template"]["spec"]["containers"][0]["env"] = body["spec"]["template"]["spec"]["containers"][0]["env"]
    observed = deployment.read(chat, workspace="workspace")
    assert (observed.digest, observed.models) == (DIGEST, {"server": SERVE.path})


def test_a_hold_changes_no_pod() -> None:
    body = deployment.hold(Hold(kind="Deployment", name="chat", uid="d1", version="5"), meta=a_meta())
    assert "spec" not in body
    assert (body["metadata"]["uid"], body["metadata"]["resourceVersion"]) == ("d1", "5")


def test_the_holder_is_known_by_uid_once_it_holds() -> None:
    chat = a_deployment()
    chat["metadata"] |= {"labels": {names.LABEL_REFRESH: "news"}}
    before = deployment.read(chat, workspace="workspace")
    chat["metadata"]["annotations"] |= {names.ANNOTATION_HOLDER: "news", names.ANNOTATION_HOLDER_UID: "u1"}
    after = deployment.read(chat, workspace="workspace")
    assert (before.holder, before.labelled) == (None, "news")
    assert (after.holder, after.holder_name, after.labelled) == ("u1", "news", None)
