"""What stands in the way of any work, and in which words it is told."""

import datetime
import random

import pytest

from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.run import StageState
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from modelrefresh.plan.actions import AddFinalizer, Plan, RemoveFinalizer, StartStage, StopJob
from modelrefresh.plan.decide import decide
from modelrefresh.plan.observed import JobState
from tests import builders
from tests.plan.sights import (
    NOW,
    a_deployment,
    a_job,
    a_meta,
    a_residual,
    a_sight,
    at_work,
)
from tests.reconcile.world import NAMESPACE, RESIDUAL, World

DEV = {"name": "dev", "uri": "pvc://evals/dev.jsonl", "task": "question-answering"}


def starts(plan: Plan) -> bool:
    """Whether the plan starts a stage."""
    return any(isinstance(action, StartStage) for action in plan.actions)


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        ({"spec": None, "faults": ("spec.base: missing",)}, Reason.INVALID_SPEC, "spec.base: missing"),
        ({"profile": None}, Reason.PROFILE_NOT_FOUND, '"default"'),
        ({"missing_claims": ("corpus",)}, Reason.CLAIM_NOT_FOUND, '"corpus"'),
        ({"rival": "elder"}, Reason.TARGET_CONFLICT, '"elder"'),
        ({"target": None}, Reason.TARGET_NOT_FOUND, '"chat"'),
        ({"target": a_deployment(containers=("a", "b"))}, Reason.TARGET_NOT_FOUND, "a, b"),
        ({"target": a_deployment(mounts={})}, Reason.TARGET_NOT_FOUND, "workspace"),
        ({"residual": None}, Reason.RESIDUAL_NOT_FOUND, '"instruct"'),
        ({"residual": a_residual(base="pvc://models/other")}, Reason.BASE_MISMATCH, "pvc://models/other"),
        ({"residual": a_residual(ready=False, message="Queued: no node")}, Reason.RESIDUAL_NOT_READY, "no node"),
    ],
    ids=lambda value: value.value if isinstance(value, Reason) else "",
)
def test_what_is_missing_is_named_and_starts_nothing(change: dict[str, object], reason: Reason, said: str) -> None:
    plan = decide(a_sight(**change), NOW)
    assert plan.summary.reason is reason
    assert said in plan.summary.message
    assert not starts(plan)


@pytest.mark.parametrize(
    ("spec", "profile", "said"),
    [
        ({"spec.training.gpusPerNode": 4}, {"spec.limits.gpusPerNode": 2}, "gpusPerNode is 4, at most 2"),
        ({"spec.training.nodes": 3}, {}, "nodes is 3, at most 1"),
        (
            {"spec.residual.search": {"scales": ["0.5", "0.8", "1"], "suites": [DEV]}},
            {"spec.limits.evaluationTokens": 300_000},
            "of each factor of a search, is 320000, at most 300000",
        ),
        (
            {"spec.data.replay": {"generate": True}},
            {"spec.limits.generatedTokens": 0},
            "spec.data.replay: 5000000 tokens would be generated, at most 0",
        ),
        ({"spec.training.maxTokens": 2_000_000_000}, {}, "maxTokens"),
        (
            {"spec.training.maxTokens": 600_000_000, "spec.training.epochs": "1.5"},
            {},
            "maxTokens times epochs is 1200000000, at most 1000000000",
        ),
        ({}, {"spec.allowedSources": ["pvc://models/"]}, "not among the allowed sources"),
        (
            {"spec.data.replay.uri": "pvc://secret/x"},
            {"spec.allowedSources": ["pvc://models/", "pvc://corpus/", "pvc://evals/"]},
            "pvc://secret/x",
        ),
    ],
)
def test_a_profile_forbids_by_field_value_and_limit(
    spec: dict[str, object], profile: dict[str, object], said: str
) -> None:
    plan = decide(a_sight(spec, profile=builders.profile_spec(profile)), NOW)
    assert plan.summary.reason is Reason.PROFILE_FORBIDS
    assert said in plan.summary.message


def test_a_prerequisite_that_vanishes_leaves_a_running_job_alone() -> None:
    plan = decide(a_sight(status=at_work(Stage.TRAIN), jobs=(a_job(),), profile=None), NOW)
    assert not plan.actions
    assert not plan.summary.stalled


def test_a_missing_prerequisite_is_looked_for_again() -> None:
    assert decide(a_sight(target=None), NOW).requeue_after_seconds


def test_first_sight_takes_hold_of_the_object_before_anything_else() -> None:
    plan = decide(a_sight(meta=a_meta(finalizer=False)), NOW)
    assert plan.actions == (AddFinalizer(),)


def test_deletion_stops_jobs_before_it_lets_the_object_go() -> None:
    plan = decide(a_sight(meta=a_meta(deleting=True), jobs=(a_job(),)), NOW)
    assert plan.actions == (StopJob(name="news-r1-train-1", uid="j1"),)


def test_deletion_waits_for_pods_that_still_write() -> None:
    plan = decide(a_sight(meta=a_meta(deleting=True), pods=frozenset({("r1", Stage.TRAIN)})), NOW)
    assert not plan.actions
    assert plan.requeue_after_seconds


def test_deletion_ends_when_nothing_is_left() -> None:
    assert decide(a_sight(meta=a_meta(deleting=True)), NOW).actions == (RemoveFinalizer(),)


def test_deletion_needs_no_readable_spec() -> None:
    observed = a_sight(meta=a_meta(deleting=True), spec=None, faults=("broken",))
    assert decide(observed, NOW).actions == (RemoveFinalizer(),)


def test_suspension_stops_the_job_and_sends_its_stage_back_to_wait() -> None:
    observed = a_sight({"spec.suspend": True}, status=at_work(Stage.TRAIN), jobs=(a_job(),))
    plan = decide(observed, NOW)
    stage = plan.status.run.record(Stage.TRAIN) if plan.status.run else None
    assert plan.actions == (StopJob(name="news-r1-train-1", uid="j1"),)
    assert stage is not None
    assert (stage.state, stage.failures, stage.disruptions) == (StageState.WAITING, 0, 0)


def test_a_job_that_succeeded_while_being_suspended_is_not_lost() -> None:
    observed = a_sight({"spec.suspend": True}, jobs=(a_job(state=JobState.SUCCEEDED),))
    assert not decide(observed, NOW).actions


@pytest.mark.parametrize(
    "edits",
    [
        {"spec.retain.versions": 9},
        {"spec.triggers.schedule": "0 3 * * 0"},
        {"spec.rollout.approval": "Manual"},
        {"spec.rollout.progressDeadlineSeconds": 60},
    ],
)
def test_a_change_that_does_not_matter_to_a_run_does_not_supersede_it(edits: dict[str, object]) -> None:
    plan = decide(a_sight(edits, status=at_work(Stage.TRAIN), jobs=(a_job(),)), NOW)
    assert plan.summary.reason is Reason.RUNNING
    assert not plan.actions


@pytest.mark.parametrize(
    "edits",
    [
        {"spec.data.uri": "pvc://corpus/other"},
        {"spec.training.seed": 7},
        {"spec.evaluation.gates[0].minDifference": "0.3"},
        {"spec.residual.scale": "0.9"},
    ],
)
def test_a_change_that_matters_to_a_run_supersedes_it(edits: dict[str, object]) -> None:
    plan = decide(a_sight(edits, status=at_work(Stage.TRAIN), jobs=(a_job(),)), NOW)
    assert plan.summary.reason is Reason.SUPERSEDED
    assert plan.actions == (StopJob(name="news-r1-train-1", uid="j1"),)


@pytest.mark.parametrize("edits", [{"spec.suspend": True}, {"spec.training.seed": 7}], ids=["suspended", "superseded"])
def test_gpu_time_of_an_attempt_that_was_stopped_is_counted(edits: dict[str, object]) -> None:
    observed = a_sight(edits, status=at_work(Stage.TRAIN, gpus=4), jobs=(a_job(),))
    plan = decide(observed, NOW + datetime.timedelta(seconds=100))
    trained = plan.status.run.record(Stage.TRAIN) if plan.status.run else None
    assert trained is not None
    assert trained.gpu_seconds == 400


def test_gpu_time_of_a_superseded_run_stands_in_the_cost() -> None:
    observed = a_sight({"spec.training.seed": 7}, status=at_work(Stage.TRAIN, gpus=4), jobs=(a_job(),))
    cost = decide(observed, NOW + datetime.timedelta(seconds=100)).status.cost
    assert cost is not None
    assert [(item.stage, item.gpu_seconds) for item in cost.stages] == [(Stage.TRAIN, 400)]


def test_a_job_that_ended_before_it_was_stopped_keeps_its_end_until_it_can_be_recorded() -> None:
    job = a_job(state=JobState.SUCCEEDED, finished=NOW)
    observed = a_sight({"spec.suspend": True}, status=at_work(Stage.TRAIN), jobs=(job,), profile=None)
    assert decide(observed, NOW + datetime.timedelta(days=1)).status == observed.status


LACKS: dict[str, dict[str, object]] = {
    '"chat"': {"target": None},
    '"elder"': {"rival": "elder"},
    "a, b": {"target": a_deployment(containers=("a", "b"))},
    '"corpus"': {"missing_claims": ("corpus",)},
    '"default"': {"profile": None},
    '"instruct"': {"residual": None},
    "pvc://models/other": {"residual": a_residual(base="pvc://models/other")},
    "Queued: no node": {"residual": a_residual(ready=False, message="Queued: no node")},
}


@pytest.mark.parametrize("seed", range(30))
def test_all_that_is_missing_is_told_at_once(seed: int) -> None:
    chosen = random.Random(seed).sample(sorted(LACKS), k=3)  # noqa: S311 -- seeded inputs, no secret
    change: dict[str, object] = {}
    for said in chosen:
        change |= LACKS[said]
    summary = decide(a_sight(**change), NOW).summary
    # The later of two changes of one thing counts, and an absent Deployment has no rival.
    expected = [said for said in chosen if all(change[key] == value for key, value in LACKS[said].items())]
    expected = [said for said in expected if not (said == '"elder"' and change.get("target", 1) is None)]
    assert [said for said in expected if said not in summary.message] == []


def test_what_leaves_open_what_serves_gives_the_reason() -> None:
    assert decide(a_sight(profile=None, target=None), NOW).summary.reason is Reason.TARGET_NOT_FOUND


def test_a_mount_is_not_missed_while_nobody_knows_of_which_claim() -> None:
    summary = decide(a_sight(profile=None, target=a_deployment(mounts={})), NOW).summary
    assert (summary.reason, "mount" in summary.message) == (Reason.PROFILE_NOT_FOUND, False)


def test_a_residual_with_two_faults_tells_both() -> None:
    place = World()
    place.cluster.edit(
        kinds.REFRESH_PROFILE, lambda it: it["spec"].update(allowedSources=["pvc://models/base"]), name="default"
    )
    place.cluster.remove(kinds.CLAIM, namespace=NAMESPACE, name="models")
    for _ in range(3):
        place.one_pass(RESIDUAL)
    found = place.cluster.peek(kinds.INSTRUCTION_RESIDUAL, namespace=NAMESPACE, name=RESIDUAL.name)
    assert found is not None
    message = found["status"]["conditions"][0]["message"]
    assert "pvc://models/instruct" in message
    assert 'PersistentVolumeClaim "models"' in message
