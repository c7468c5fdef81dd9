"""One step of a run at a time: start, wait, answer a failure."""

import dataclasses
import datetime
import json

import pytest

from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.api.status.run import Outcome, StageState
from modelrefresh.contract import stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.result import Result
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh.contract.stages.merge import MergeSummary
from modelrefresh.contract.vocabulary import Method, Stage, Strategy
from modelrefresh.plan.actions import Plan, StartStage, StopJob
from modelrefresh.plan.decide import decide
from modelrefresh.plan.observed import JobState
from modelrefresh.plan.stages import stage_records
from tests.plan.sights import NOW, a_job, a_run, a_sight, a_status, at_work, inputs_of

RETRY_LATER = NOW + datetime.timedelta(minutes=10)


def failed(exit_code: ExitCode, reason: str = "InternalError") -> Result:
    """A termination message of a failed train attempt."""
    return Result(stage=Stage.TRAIN, run="r1", attempt=1, exit_code=exit_code, reason=reason, message="why")


def the_start(plan: Plan) -> StartStage:
    """The only action of a plan, which starts a stage."""
    (action,) = plan.actions
    assert isinstance(action, StartStage)
    return action


@pytest.mark.parametrize("stage", [Stage.PREPARE, Stage.TRAIN, Stage.MERGE])
def test_a_stage_starts_when_the_one_before_has_succeeded(stage: Stage) -> None:
    start = the_start(decide(a_sight(status=a_status(run=a_run(stage))), NOW))
    assert (start.request.stage, start.request.attempt) == (stage, 1)


def test_an_attempt_is_recorded_by_the_plan_that_starts_it() -> None:
    plan = decide(a_sight(status=a_status(run=a_run(Stage.TRAIN))), NOW)
    stage = plan.status.run.record(Stage.TRAIN) if plan.status.run else None
    assert stage is not None
    assert (stage.state, stage.attempt) == (StageState.QUEUED, 1)


def test_a_job_that_was_announced_but_never_created_is_created_under_the_same_name() -> None:
    announced = at_work(Stage.TRAIN)
    assert the_start(decide(a_sight(status=announced), NOW)).request.attempt == 1


def test_no_attempt_starts_while_a_pod_of_the_one_before_still_writes() -> None:
    observed = a_sight(status=a_status(run=a_run(Stage.TRAIN)), pods=frozenset({("r1", Stage.TRAIN)}))
    plan = decide(observed, NOW)
    assert not plan.actions
    assert plan.requeue_after_seconds


def test_nothing_starts_while_a_job_of_another_run_is_at_work() -> None:
    stray = a_job(run="r0", name="news-r0-train-1")
    plan = decide(a_sight(status=a_status(run=a_run(Stage.TRAIN)), jobs=(stray,)), NOW)
    assert plan.actions == (StopJob(name="news-r0-train-1", uid="j1"),)


@pytest.mark.parametrize(
    ("exit_code", "failures", "disruptions"),
    [(ExitCode.INTERNAL, 1, 0), (ExitCode.TRANSIENT, 0, 1), (ExitCode.PREEMPTED, 0, 1)],
)
def test_a_failure_is_counted_by_whose_fault_it_was(exit_code: ExitCode, failures: int, disruptions: int) -> None:
    job = a_job(state=JobState.FAILED, exit_code=int(exit_code), result=failed(exit_code), finished=NOW)
    plan = decide(a_sight(status=at_work(Stage.TRAIN), jobs=(job,)), NOW)
    stage = plan.status.run.record(Stage.TRAIN) if plan.status.run else None
    assert stage is not None
    assert (stage.failures, stage.disruptions) == (failures, disruptions)


def test_outages_are_counted_in_a_row_so_that_earlier_disruptions_lengthen_no_pause() -> None:
    status = at_work(Stage.TRAIN, disruptions=7, outages=2)
    assert [outages_after(status, code) for code in (ExitCode.TRANSIENT, ExitCode.PREEMPTED)] == [3, 0]


def outages_after(status: RefreshStatus, exit_code: ExitCode) -> int:
    """What the train stage has counted once its attempt has ended so."""
    job = a_job(state=JobState.FAILED, exit_code=int(exit_code), result=failed(exit_code), finished=NOW)
    run = decide(a_sight(status=status, jobs=(job,)), NOW).status.run
    stage = run.record(Stage.TRAIN) if run else None
    assert stage is not None
    return stage.outages


def test_a_failed_attempt_is_counted_once_however_often_it_is_seen() -> None:
    job = a_job(state=JobState.FAILED, exit_code=1, result=failed(ExitCode.INTERNAL), finished=NOW)
    observed = a_sight(status=at_work(Stage.TRAIN), jobs=(job,))
    for _ in range(3):
        observed = dataclasses.replace(observed, status=decide(observed, NOW).status)
    stage = observed.status.run.record(Stage.TRAIN) if observed.status.run else None
    assert stage is not None
    assert stage.failures == 1


def test_a_disrupted_attempt_starts_again_at_once() -> None:
    job = a_job(state=JobState.FAILED, exit_code=12, result=failed(ExitCode.PREEMPTED), finished=NOW)
    start = the_start(decide(a_sight(status=at_work(Stage.TRAIN), jobs=(job,)), NOW))
    assert start.request.attempt == 2


def test_an_attempt_that_failed_by_its_own_fault_waits_before_the_next() -> None:
    job = a_job(state=JobState.FAILED, exit_code=1, result=failed(ExitCode.INTERNAL), finished=NOW)
    observed = a_sight(status=at_work(Stage.TRAIN), jobs=(job,))
    waiting = decide(observed, NOW)
    assert not waiting.actions
    assert the_start(decide(dataclasses.replace(observed, status=waiting.status), RETRY_LATER)).request.attempt == 2


def test_a_stage_that_failed_for_good_ends_the_run_and_says_why() -> None:
    job = a_job(state=JobState.FAILED, exit_code=10, result=failed(ExitCode.DIVERGED, "TrainingDiverged"), finished=NOW)
    plan = decide(a_sight(status=at_work(Stage.TRAIN), jobs=(job,)), NOW)
    assert plan.status.run is not None
    assert (plan.status.run.outcome, plan.status.run.reason) == (Outcome.FAILED, Reason.TRAINING_DIVERGED)
    assert plan.status.last_failure is not None
    assert (plan.status.last_failure.exit_code, plan.status.last_failure.message) == (10, "why")


def test_a_success_without_a_readable_result_is_tried_again() -> None:
    plan = decide(a_sight(status=at_work(Stage.TRAIN), jobs=(a_job(state=JobState.SUCCEEDED, finished=NOW),)), NOW)
    assert the_start(plan).request.attempt == 2


def test_gpu_seconds_are_counted_over_attempts() -> None:
    job = a_job(state=JobState.FAILED, exit_code=12, finished=NOW + datetime.timedelta(seconds=90))
    plan = decide(a_sight(status=at_work(Stage.TRAIN, gpu_seconds=10), jobs=(job,)), NOW)
    stage = plan.status.run.record(Stage.TRAIN) if plan.status.run else None
    assert stage is not None
    assert stage.gpu_seconds == 100


def test_a_job_that_waits_is_told_in_the_scheduler_s_words() -> None:
    job = a_job(state=JobState.QUEUED, message="0/1 nodes are available: 1 Insufficient nvidia.com/gpu")
    plan = decide(a_sight(status=at_work(Stage.TRAIN), jobs=(job,)), NOW)
    assert plan.summary.reason is Reason.QUEUED
    assert "Insufficient nvidia.com/gpu" in plan.summary.message
    assert not plan.summary.stalled


def test_a_job_that_waits_under_an_old_profile_is_replaced() -> None:
    job = a_job(state=JobState.QUEUED, image_failed=True)
    plan = decide(a_sight(status=at_work(Stage.TRAIN), jobs=(job,), profile_hash="p2"), NOW)
    assert plan.actions == (StopJob(name="news-r1-train-1", uid="j1"),)


def test_a_job_that_runs_under_an_old_profile_goes_on() -> None:
    plan = decide(a_sight(status=at_work(Stage.TRAIN), jobs=(a_job(),), profile_hash="p2"), NOW)
    assert not plan.actions


def test_direct_trains_the_instruct_model_itself() -> None:
    edits: dict[str, object] = {"spec.training.strategy": "Direct"}
    run = a_run(Stage.TRAIN).evolve(inputs=inputs_of(edits))
    start = the_start(decide(a_sight(edits, status=a_status(run=run)), NOW))
    assert start.request.section.start == "pvc://models/instruct"


def test_residual_trains_the_base() -> None:
    start = the_start(decide(a_sight(status=a_status(run=a_run(Stage.TRAIN))), NOW))
    assert (start.request.section.start, start.request.section.method) == ("pvc://models/base", Method.LORA)


def test_merge_is_told_which_residual_to_add() -> None:
    start = the_start(decide(a_sight(status=a_status(run=a_run(Stage.MERGE))), NOW))
    assert (start.request.section.residual, start.request.section.strategy) == ("e" * 64, Strategy.RESIDUAL)


def test_evaluation_compares_with_what_serves() -> None:
    run = a_run(Stage.EVALUATE)
    merged = run.record(Stage.MERGE)
    assert merged is not None
    facts = MergeSummary(digest="7" * 64, parameters=1, bytes=1, drift=0.1, residual_norm=0.1, alignment=0.0)
    run = stage_records.put(run, merged.evolve(merge=dataclasses.asdict(facts), digest=facts.digest))
    start = the_start(decide(a_sight(status=a_status(run=run)), NOW))
    assert (start.request.section.candidate, start.request.section.incumbent) == ("7" * 64, "5" * 64)


@pytest.mark.parametrize(
    ("method", "asked", "rate"),
    [(Method.LORA, None, 2e-4), (Method.FULL, None, 2e-5), (Method.LORA, "2e-5", 2e-5), (Method.FULL, "1e-3", 1e-3)],
)
def test_the_learning_rate_is_that_of_the_method_unless_asked(method: Method, asked: str | None, rate: float) -> None:
    edits: dict[str, object] = {"spec.training.method": method.value}
    edits |= {"spec.training.learningRate": asked} if asked else {}
    run = a_run(Stage.TRAIN).evolve(inputs=inputs_of(edits))
    request = the_start(decide(a_sight(edits, status=a_status(run=run)), NOW)).request.section
    assert request is not None
    assert request.learning_rate == rate


@pytest.mark.parametrize(
    "edits",
    [
        {},
        {"spec.training.strategy": "Direct", "spec.training.method": "Full"},
        {"spec.evaluation.maxItems": 7, "spec.evaluation.maxNewTokens": 9},
    ],
)
def test_prepare_is_told_what_every_later_stage_will_be_asked(edits: dict[str, object]) -> None:
    told = requested(Stage.PREPARE, edits).section
    train, merge, evaluate = (requested(stage, edits) for stage in (Stage.TRAIN, Stage.MERGE, Stage.EVALUATE))
    assert (told.train, told.base) == (train.section, train.section.start)
    assert told.merge == merge.section
    asked = evaluate.section
    assert (told.incumbent, told.suites) == (asked.incumbent, asked.suites)
    assert (told.max_items, told.max_new_tokens) == (asked.max_items, asked.max_new_tokens)


def requested(stage: Stage, edits: dict[str, object]) -> StageRequest:
    """What a stage of a refresh with these changes is asked."""
    run = a_run(stage).evolve(inputs=inputs_of(edits))
    if stage is Stage.EVALUATE:
        facts = MergeSummary(digest="7" * 64, parameters=1, bytes=1, drift=0.1, residual_norm=0.1, alignment=0.0)
        merged = run.record(Stage.MERGE)
        assert merged is not None
        run = stage_records.put(run, merged.evolve(merge=dataclasses.asdict(facts), digest=facts.digest))
    return the_start(decide(a_sight(edits, status=a_status(run=run)), NOW)).request


def test_a_prepare_request_of_an_older_operator_is_understood() -> None:
    request = requested(Stage.PREPARE, {})
    document = json.loads(stage_request.render(request))
    for name in ("incumbent", "max_items", "max_new_tokens", "train", "merge"):
        del document["prepare"][name]
    parsed = stage_request.parse(json.dumps(document)).section
    assert parsed is not None
    assert (parsed.merge, parsed.train) == (None, None)
