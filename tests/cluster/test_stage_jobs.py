"""Which container of which pod speaks for an attempt: the stage's own, and the culprit's."""

import itertools
import random
from typing import Any

import pytest

from modelrefresh.api import names
from modelrefresh.api.conditions import Reason
from modelrefresh.cluster import stage_jobs
from modelrefresh.contract import result
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.attempts import retries
from modelrefresh.plan.attempts.retries import FailureAction
from modelrefresh.plan.observed import JobState, ObservedJob

TIME = "2026-11-26T08:00:00Z"
WORST_FIRST = [
    (ExitCode.BAD_INPUT, "ModelUnreadable"),
    (ExitCode.OUT_OF_MEMORY, "OutOfMemory"),
    (ExitCode.DIVERGED, "TrainingDiverged"),
    (ExitCode.TRANSIENT, "InsufficientStorage"),
    (ExitCode.INTERNAL, "InternalError"),
    (ExitCode.PREEMPTED, "Preempted"),
    (ExitCode.PEER_LOST, "PeerLost"),
]
OWNER = {"kind": "Job", "name": "t", "uid": "j", "controller": True}
RUNNING: dict[str, Any] = {"running": {"startedAt": TIME}}


def said(code: ExitCode, reason: str = "Succeeded") -> str:
    """A termination message."""
    answer = result.Result(stage=Stage.TRAIN, run="r1", attempt=1, exit_code=code, reason=reason, message=reason)
    return result.render_short(answer)


def ended(code: int, text: str = "", why: str = "Error") -> dict[str, Any]:
    """State of a container that has ended."""
    return {"terminated": {"exitCode": code, "message": text, "reason": why, "startedAt": TIME, "finishedAt": TIME}}


def pod(index: int, state: dict[str, Any] | None, *others: dict[str, Any], **status: Any) -> dict[str, Any]:  # noqa: ANN401 -- any field of a status
    """A pod of the Job; `others` are containers that somebody else put into it."""
    own = [{"name": "stage", "state": state}] if state else []
    return {
        "metadata": {"name": f"t-{index}-{index:05d}", "labels": labels(), "ownerReferences": [OWNER]},
        "status": {"phase": "Running", "containerStatuses": [*own, *others], **status},
    }


def beside(state: dict[str, Any]) -> dict[str, Any]:
    """A container of a mesh."""
    return {"name": "proxy", "state": state}


def labels() -> dict[str, str]:
    """Labels of the attempt."""
    return {names.LABEL_RUN: "r1", names.LABEL_STAGE: "train", names.LABEL_ATTEMPT: "1"}


def a_job(condition: str | None, message: str = "", *, nodes: int = 1) -> dict[str, Any]:
    """A Job with this condition."""
    told = [{"type": condition, "status": "True", "message": message, "lastTransitionTime": TIME}] if condition else []
    metadata = {"name": "t", "uid": "j", "labels": labels(), "annotations": {}}
    return {"metadata": metadata, "spec": {"completions": nodes}, "status": {"conditions": told}}


def seen(job: dict[str, Any], *pods: dict[str, Any]) -> ObservedJob:
    """What the operator makes of them."""
    (found,) = stage_jobs.read([job], list(pods))
    return found


@pytest.mark.parametrize(("culprit", "victim"), list(itertools.combinations(WORST_FIRST, 2)))
def test_the_worst_cause_speaks_in_whatever_order_pods_and_containers_are_listed(
    culprit: tuple[ExitCode, str], victim: tuple[ExitCode, str]
) -> None:
    chance = random.Random(7)  # noqa: S311 -- seeded, guards nothing
    for place, named in itertools.product(range(3), (None, 0, 1, 2)):
        ends = [culprit if index == place else victim for index in range(3)]
        pods = [pod(index, ended(code, said(code, word)), beside(ended(99))) for index, (code, word) in enumerate(ends)]
        message = "" if named is None else f"Container stage for pod ns/t-{named}-0000{named} failed with exit code 1 m"
        for _ in range(3):
            chance.shuffle(pods)
            for one in pods:
                chance.shuffle(one["status"]["containerStatuses"])
            found = seen(a_job("Failed", message, nodes=3), *pods)
            assert (found.exit_code, found.result and found.result.reason) == (culprit[0], culprit[1])


def test_of_equal_causes_the_pod_that_the_job_names_speaks() -> None:
    pods = [pod(index, ended(2, said(ExitCode.BAD_INPUT, f"Reason{index}"))) for index in range(3)]
    message = "Container stage for pod ns/t-1-00001 failed with exit code 2 matching FailJob rule at index 1"
    for order in itertools.permutations(pods):
        answer = seen(a_job("Failed", message, nodes=3), *order).result
        assert answer is not None
        assert answer.reason == "Reason1"


def test_a_culprit_whose_pod_is_gone_speaks_through_the_job_s_condition() -> None:
    message = "Container stage for pod ns/t-1-abcde failed with exit code 11 matching FailJob rule at index 1"
    victim = pod(0, ended(12, said(ExitCode.PREEMPTED, "Preempted")))
    answer = retries.classify(seen(a_job("Failed", message, nodes=2), victim))
    assert (answer.action, answer.reason, answer.message) == (FailureAction.GIVE_UP, Reason.OUT_OF_MEMORY, message)


def test_a_disrupted_pod_that_is_gone_makes_its_peers_failure_a_disruption() -> None:
    message = "Pod ns/t-1-abcde has condition DisruptionTarget matching FailJob rule at index 0"
    victim = pod(0, ended(14, said(ExitCode.PEER_LOST, "PeerLost")))
    assert retries.classify(seen(a_job("Failed", message, nodes=2), victim)).action is FailureAction.RETRY_UNCOUNTED


@pytest.mark.parametrize(
    ("culprit", "reason"),
    [
        (pod(1, ended(137, why="OOMKilled")), Reason.OUT_OF_MEMORY),
        (pod(1, ended(12), reason="DeadlineExceeded"), Reason.DEADLINE_EXCEEDED),
        (pod(1, ended(137)), Reason.PREEMPTED),
        (pod(1, ended(12), conditions=[{"type": "DisruptionTarget", "status": "True"}]), Reason.PREEMPTED),
        (pod(1, ended(3)), Reason.INTERNAL_ERROR),
    ],
)
def test_what_kubernetes_did_to_one_pod_is_why_its_peer_lost_it(culprit: dict[str, Any], reason: Reason) -> None:
    victim = pod(0, ended(14, said(ExitCode.PEER_LOST, "PeerLost")))
    for order in itertools.permutations([victim, culprit]):
        assert retries.classify(seen(a_job("Failed", nodes=2), *order)).reason is reason


@pytest.mark.parametrize(("code", "word"), WORST_FIRST[:3])
def test_a_stage_that_had_failed_by_itself_was_not_ended_by_eviction_or_deadline(code: ExitCode, word: str) -> None:
    marks = {"reason": "DeadlineExceeded", "conditions": [{"type": "DisruptionTarget", "status": "True"}]}
    found = seen(a_job("Failed"), pod(0, ended(code, said(code, word)), **marks))
    assert retries.classify(found).reason == word


@pytest.mark.parametrize("condition", [None, "Failed"])
@pytest.mark.parametrize(("code", "state"), [(0, JobState.SUCCEEDED), (2, JobState.FAILED)])
def test_a_sidecar_that_runs_on_or_fails_changes_nothing_about_a_stage_that_ended(
    condition: str | None, code: int, state: JobState
) -> None:
    other = beside(ended(1) if condition else RUNNING)
    found = seen(a_job(condition), pod(0, ended(code, said(ExitCode(code))), other))
    assert found.state is state
    assert found.result is not None
    assert found.result.exit_code == code


def test_a_job_is_not_judged_while_another_node_s_stage_still_runs() -> None:
    pods = [pod(0, RUNNING, beside(RUNNING)), pod(1, ended(14, said(ExitCode.PEER_LOST)), beside(RUNNING))]
    assert seen(a_job(None, nodes=2), *pods).state is JobState.RUNNING
    assert seen(a_job(None, nodes=2), pods[1]).state is JobState.RUNNING


def test_a_stage_that_has_ended_leaves_its_job_to_say_so_where_nothing_else_runs() -> None:
    assert seen(a_job(None), pod(0, ended(0, said(ExitCode.OK)))).state is JobState.RUNNING


def test_an_init_container_that_fails_is_not_the_stage_s_end() -> None:
    waiting = {"waiting": {"reason": "PodInitializing"}}
    init = [{"name": "mesh-init", "state": ended(1, "no")}]
    found = seen(a_job("Failed"), pod(0, waiting, phase="Failed", initContainerStatuses=init))
    assert (found.exit_code, found.result) == (None, None)
    assert retries.classify(found).reason is Reason.POD_LOST


def test_a_pod_holds_its_run_s_files_until_its_stage_has_ended() -> None:
    assert stage_jobs.busy([pod(0, RUNNING, beside(ended(0)))]) == {("r1", Stage.TRAIN)}
    assert stage_jobs.busy([pod(0, ended(0), beside(RUNNING))]) == set()
