"""The Job of one attempt: what Kubernetes is told, and what no tenant can put into it."""

import dataclasses
import json
from typing import Any

import pytest

from modelrefresh.api import names
from modelrefresh.contract import stage_request
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh.contract.stages.evaluate import EvaluateInput, SuiteInput
from modelrefresh.contract.vocabulary import Stage, Task
from modelrefresh.manifests import job, pod
from modelrefresh.plan import prerequisites
from modelrefresh.plan.actions import StartStage
from modelrefresh.plan.attempts import stage_steps
from tests import builders
from tests.plan.sights import a_meta, a_run, a_sight, a_status

NONCE = "0" * 32
HUB = f"hf://org/model@{40 * '0'}"


def a_start(edits: dict[str, object] | None = None) -> StartStage:
    """The action that starts training."""
    seen = a_sight(
        edits, status=a_status(run=a_run(Stage.TRAIN)), profile=builders.profile_spec({"spec.limits.nodes": 4})
    )
    run = seen.status.run
    assert run is not None
    work = prerequisites.ready(seen)
    return stage_steps.start_action(work, run, run.stages[1].evolve(attempt=1))


def a_job(edits: dict[str, object] | None = None, profile: dict[str, object] | None = None) -> dict[str, Any]:
    """The Job of a first train attempt."""
    return job.build(a_start(edits), builders.profile_spec(profile), meta=a_meta(), kind=names.REFRESH, nonce=NONCE)


def pod_of(made: dict[str, Any]) -> dict[str, Any]:
    """Its pod's spec."""
    spec: dict[str, Any] = made["spec"]["template"]["spec"]
    return spec


def test_an_attempt_never_retries_by_itself() -> None:
    spec = a_job()["spec"]
    assert (spec["backoffLimit"], spec["podReplacementPolicy"]) == (0, "Failed")
    assert pod_of(a_job())["restartPolicy"] == "Never"


def test_how_an_attempt_failed_is_written_where_it_survives_the_pod() -> None:
    rules = a_job()["spec"]["podFailurePolicy"]["rules"]
    assert [rule["action"] for rule in rules] == ["FailJob"] * 3
    assert rules[0]["onPodConditions"][0]["type"] == "DisruptionTarget"
    assert [rule["onExitCodes"]["containerName"] for rule in rules[1:]] == [pod.CONTAINER, pod.ROOM]


def test_the_name_says_what_the_job_is_for() -> None:
    assert a_job()["metadata"]["name"] == names.job_name(owner="news", uid="u1", run="r1", stage="train", attempt=1)


def test_the_longest_name_still_leaves_room_for_its_pods() -> None:
    name = names.job_name(owner="n" * 253, uid="u1", run="r" * 10, stage="evaluate", attempt=123)
    assert len(name) <= 52
    assert name != names.job_name(owner="n" * 252 + "m", uid="u1", run="r" * 10, stage="evaluate", attempt=123)


def test_the_pod_meets_the_restricted_standard() -> None:
    spec = pod_of(a_job())
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_pod_holds_no_token_and_no_service_addresses() -> None:
    spec = pod_of(a_job())
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)


def test_a_stage_writes_in_its_own_folder_only() -> None:
    mounts = pod_of(a_job())["containers"][0]["volumeMounts"]
    own = {"/workspace/runs/news/r1/train", "/tmp", "/dev/shm"}  # noqa: S108 -- the pod's own folders
    assert {mount["mountPath"] for mount in mounts if not mount.get("readOnly")} == own
    assert {mount["mountPath"] for mount in mounts if mount.get("readOnly")} == {"/workspace", "/sources/models"}


def test_a_source_on_the_workspace_claim_is_the_same_volume() -> None:
    spec = pod_of(a_job(profile={"spec.workspaceClaim": "models"}))
    claims = [volume for volume in spec["volumes"] if "persistentVolumeClaim" in volume]
    assert [volume["persistentVolumeClaim"]["claimName"] for volume in claims] == ["models"]


def test_the_running_time_is_bounded_and_the_waiting_time_is_not() -> None:
    made = a_job(profile={"spec.stages": {"train": {"timeoutSeconds": 77}}})
    assert pod_of(made)["activeDeadlineSeconds"] == 77
    assert "activeDeadlineSeconds" not in made["spec"]


def test_gpus_are_asked_for_under_the_profile_s_name() -> None:
    made = a_job({"spec.training.gpusPerNode": 2}, {"spec.gpuResource": "amd.com/gpu"})
    resources = pod_of(made)["containers"][0]["resources"]
    assert resources["limits"]["amd.com/gpu"] == resources["requests"]["amd.com/gpu"] == "2"


def test_several_nodes_are_an_indexed_job_whose_pods_find_the_first() -> None:
    made = a_job({"spec.training.nodes": 2})
    spec = made["spec"]
    variables = {item["name"]: item.get("value") for item in pod_of(made)["containers"][0]["env"]}
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (2, 2, "Indexed")
    service = names.service_name(owner="news", uid="u1")
    assert pod_of(made)["subdomain"] == service
    assert variables[stage_request.MASTER_VARIABLE] == f"{made['metadata']['name']}-0.{service}"


def test_the_service_of_several_nodes_resolves_pods_before_they_are_ready() -> None:
    service = job.service(a_start({"spec.training.nodes": 2}), meta=a_meta(), kind=names.REFRESH)
    assert (service["spec"]["clusterIP"], service["spec"]["publishNotReadyAddresses"]) == ("None", True)


def test_all_attempts_of_a_refresh_meet_under_one_service_that_selects_their_pods() -> None:
    first = a_start({"spec.training.nodes": 2})
    again = dataclasses.replace(first, request=dataclasses.replace(first.request, run="r2", attempt=2))
    services = [job.service(start, meta=a_meta(), kind=names.REFRESH) for start in (first, again)]
    pods = a_job({"spec.training.nodes": 2})["spec"]["template"]["metadata"]["labels"]
    assert services[0] == services[1]
    assert services[0]["spec"]["selector"].items() <= pods.items()


def test_a_queue_of_the_profile_becomes_the_label_that_kueue_reads() -> None:
    assert a_job(profile={"spec.queue": "gpus"})["metadata"]["labels"][names.QUEUE_LABEL] == "gpus"


def test_the_hub_token_is_a_file_and_never_a_variable() -> None:
    start = a_job({"spec.base.uri": HUB}, profile={"spec.hubTokenSecret": "hub"})
    container = pod_of(start)["containers"][0]
    assert {"name": "HF_TOKEN_PATH", "value": "/secrets/hub/token"} in container["env"]
    assert not any("secretKeyRef" in json.dumps(item) for item in container["env"])


@pytest.mark.parametrize("edit", ["spec.data.uri", "spec.base.uri"])
def test_a_tenant_s_uri_reaches_the_pod_only_as_input_and_claim_name(edit: str) -> None:
    made = a_job({edit: "pvc://secret-claim/x"})
    spec = pod_of(made)
    for container in (*spec["initContainers"], *spec["containers"]):
        container["env"] = []
    text = json.dumps(made)
    assert "secret-claim/x" not in text


def test_equal_requests_give_equal_jobs() -> None:
    assert a_job() == a_job()


def test_every_uri_of_a_request_is_found_whatever_its_section() -> None:
    suites = (SuiteInput(name="s", uri="pvc://evals/x", task=Task.QUESTION_ANSWERING),)
    request = StageRequest(
        stage=Stage.EVALUATE,
        owner="o",
        run="r",
        section=EvaluateInput(candidate="a", incumbent=None, suites=suites),
    )
    assert pod.claims(request) == ("evals",)
