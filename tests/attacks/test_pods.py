"""What a stage's pod is given: nothing that it does not need, whatever a tenant's spec says."""

import json
from typing import Any

import pytest

from modelrefresh.api import names
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.manifests import job
from modelrefresh.plan import prerequisites
from modelrefresh.plan.attempts import stage_steps
from tests import builders
from tests.attacks.catalogue import attack
from tests.plan.sights import RESIDUAL, a_meta, a_run, a_sight, a_status

BY = "a stage that was taken over"
HUB = f"hf://org/model@{'0' * 40}"
STAGES = [Stage.IMPORT, Stage.PREPARE, Stage.TRAIN, Stage.MERGE, Stage.EVALUATE]


def pod(stage: Stage, edits: dict[str, object] | None = None) -> dict[str, Any]:
    """The pod of a stage, with a hub token in the profile."""
    profile = builders.profile_spec({"spec.hubTokenSecret": "hub", "spec.hostUsers": False})
    run = a_run(Stage.EVALUATE)
    records = [one.evolve(merge={"digest": "c" * 64}) if one.name is Stage.MERGE else one for one in run.stages]
    observed = a_sight(edits, status=a_status(run=run.evolve(stages=tuple(records))), profile=profile)
    work = prerequisites.ready(observed)
    record = run.record(stage) or run.stages[0].evolve(name=stage)
    start = stage_steps.start_action(work, observed.status.run, record.evolve(attempt=1))  # type: ignore[arg-type]  # it has one
    made = job.build(start, profile, meta=a_meta(), kind=names.REFRESH, nonce="0" * 32)
    spec: dict[str, Any] = made["spec"]["template"]["spec"]
    return spec


@attack(46, does="the API token in a stage's pod", by=BY, ends="contained: none is mounted")
@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_has_an_api_token(stage: Stage) -> None:
    spec = pod(stage)
    assert spec["automountServiceAccountToken"] is False
    assert not any("projected" in volume for volume in spec["volumes"])


@attack(
    46,
    does="the hub token in a stage that fetches nothing",
    by=BY,
    ends="contained: mounted only where an hf:// URI stands in the request",
)
@pytest.mark.parametrize("stage", STAGES)
def test_the_hub_token_is_only_where_something_is_fetched(stage: Stage) -> None:
    local, remote = pod(stage), pod(stage, {"spec.base.uri": HUB})
    reads_base = stage in (Stage.PREPARE, Stage.TRAIN, Stage.MERGE)
    assert ("hub-token" in json.dumps(local), "hub-token" in json.dumps(remote)) == (False, reads_base)


@attack(
    46,
    does="privileges, root, a writable root file system, host namespaces",
    by=BY,
    ends="contained: the restricted standard, for both containers",
)
@pytest.mark.parametrize("stage", STAGES)
def test_every_container_is_restricted(stage: Stage) -> None:
    spec = pod(stage)
    assert (spec["securityContext"]["runAsNonRoot"], spec["hostUsers"]) == (True, False)
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    for container in (*spec["initContainers"], *spec["containers"]):
        limits = container["securityContext"]
        assert (limits["allowPrivilegeEscalation"], limits["readOnlyRootFilesystem"]) == (False, True)
        assert limits["capabilities"] == {"drop": ["ALL"]}


_WRITES = {
    Stage.IMPORT: {"runs/news/r1/import", "versions"},
    Stage.PREPARE: {"runs/news/r1/prepare"},
    Stage.TRAIN: {"runs/news/r1/train"},
    Stage.MERGE: {"runs/news/r1/merge", "versions"},
    Stage.EVALUATE: {"runs/news/r1/evaluate"},
}


@attack(28, does="writing where a stage only reads", by=BY, ends="contained: mounted read-only")
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_can_write_what_it_makes_and_nothing_else(stage: Stage) -> None:
    mounts = [one for one in pod(stage)["containers"][0]["volumeMounts"] if one["name"] == "workspace"]
    assert {one["subPath"] for one in mounts if not one.get("readOnly")} == _WRITES[stage]
    assert [one["mountPath"] for one in mounts if one.get("readOnly")] == ["/workspace"]


@attack(
    41,
    does="memory and disk without end in a pod of a profile without limits",
    by="hostile content",
    ends="contained: default limits",
)
def test_a_profile_without_limits_still_bounds_memory_and_disk() -> None:
    limits = pod(Stage.PREPARE)["containers"][0]["resources"]["limits"]
    assert set(limits) >= {"memory", "ephemeral-storage"}


@attack(
    3,
    does="every text of a spec, looked for in the pod",
    by="whoever may write a ModelRefresh",
    ends="contained: only the input document and claim names",
)
def test_a_spec_reaches_the_pod_as_data_only() -> None:
    mark = "zzz-of-the-tenant"
    spec = pod(
        Stage.PREPARE,
        {
            "spec.data.uri": f"pvc://corpus/{mark}",
            "spec.data.textField": mark,
            "spec.evaluation.suites[0].name": mark,
            "spec.evaluation.gates[0].suite": mark,
        },
    )
    for container in (*spec["initContainers"], *spec["containers"]):
        container["env"] = [one for one in container["env"] if one["name"] != "MODELREFRESH_INPUT"]
    assert mark not in json.dumps(spec)
    assert RESIDUAL not in json.dumps(spec)
