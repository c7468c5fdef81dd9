"""Looks at the cluster that a crash, a suspension or a stranger has left behind."""

import datetime
import re

import pytest

from modelrefresh.api import names
from modelrefresh.api.status.refresh import Rollout, Sweep
from modelrefresh.api.status.run import StageRecord, StageState
from modelrefresh.contract.result import Result
from modelrefresh.contract.stages.train import TrainSummary
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.actions import MarkServed, Serve, StartStage, StopJob
from modelrefresh.plan.decide import decide
from modelrefresh.plan.observed import JobState
from tests.plan.sights import (
    NEWER,
    NOW,
    STOCK,
    a_deployment,
    a_job,
    a_ref,
    a_run,
    a_sight,
    a_status,
    a_version,
    at_work,
)

RUNNING = StageRecord(name=Stage.SWEEP, state=StageState.RUNNING, attempt=1)


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING])
def test_an_open_job_of_a_stage_that_waits_is_stopped_before_the_next_attempt(state: JobState) -> None:
    plan = decide(a_sight(status=a_status(run=a_run(Stage.TRAIN)), jobs=(a_job(state=state),)), NOW)
    assert plan.actions == (StopJob(name="news-r1-train-1", uid="j1"),)


def test_a_sweep_gives_way_to_a_run() -> None:
    sweep = a_job(Stage.SWEEP, run="retention", name="news-retention-sweep-1", state=JobState.QUEUED)
    plan = decide(a_sight(status=at_work(Stage.TRAIN), jobs=(a_job(), sweep)), NOW)
    assert plan.actions == (StopJob(name="news-retention-sweep-1", uid="j1"),)


def test_a_sweep_whose_job_is_gone_never_removes_what_serves_by_now() -> None:
    ended = a_run().evolve(outcome="Promoted", end_time=NOW)
    status = a_status(run=ended, live=a_ref(NEWER), sweep=Sweep(stage=RUNNING, versions=(NEWER,)))
    versions = (a_version(), a_version(NEWER, served=True))
    plan = decide(a_sight(status=status, versions=versions, target=a_deployment(digest=NEWER)), NOW)
    assert not [action for action in plan.actions if isinstance(action, StartStage)]


def test_a_version_that_is_being_swept_cannot_be_chosen_by_hand() -> None:
    status = a_status(sweep=Sweep(stage=RUNNING, versions=(NEWER,)))
    versions = (a_version(served=True), a_version(NEWER))
    plan = decide(a_sight(status=status, versions=versions, target=a_deployment(digest=NEWER)), NOW)
    assert [action.digest for action in plan.actions if isinstance(action, Serve)] == [STOCK]


def test_a_new_target_that_names_an_old_version_gets_the_live_one() -> None:
    versions = (a_version(), a_version(NEWER, served=True, target="before"))
    plan = decide(a_sight(status=a_status(live=a_ref(NEWER)), versions=versions), NOW)
    assert [action.digest for action in plan.actions if isinstance(action, Serve)] == [NEWER]


def test_a_version_that_moved_to_a_new_target_says_so() -> None:
    versions = (a_version(served=True, target="before"),)
    plan = decide(a_sight(status=a_status(), versions=versions), NOW)
    assert plan.actions == (MarkServed(name=f"news-{STOCK[:8]}", target="chat"),)


def test_a_deployment_that_is_replaced_during_a_rollout_is_no_undo() -> None:
    rollout = Rollout(to=a_ref(NEWER), start_time=NOW, seen=True)
    versions = (a_version(served=True), a_version(NEWER))
    observed = a_sight(status=a_status(rollout=rollout), versions=versions, target=a_deployment(digest=None))
    plan = decide(observed, NOW + datetime.timedelta(seconds=5))
    assert [action.digest for action in plan.actions if isinstance(action, Serve)] == [NEWER]
    assert not plan.status.held


def test_a_success_with_impossible_numbers_is_tried_again() -> None:
    summary = TrainSummary(
        steps=-1, tokens=1, first_loss=1, last_loss=1, seconds=1, tokens_per_second=1, start_fingerprint="b"
    )
    answer = Result(stage=Stage.TRAIN, run="r1", attempt=1, exit_code=0, summary=summary)
    job = a_job(state=JobState.SUCCEEDED, result=answer, finished=NOW)
    plan = decide(a_sight(status=at_work(Stage.TRAIN), jobs=(job,)), NOW)
    assert [action.request.attempt for action in plan.actions if isinstance(action, StartStage)] == [2]


@pytest.mark.parametrize("owner", ["llama-3.1-news", "3-news", "news"])
def test_names_of_jobs_and_services_are_host_names(owner: str) -> None:
    made = (
        names.job_name(owner=owner, uid="u1", run="0a1b2c3d4e", stage="train", attempt=1),
        names.service_name(owner=owner, uid="u"),
    )
    assert all(re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name) for name in made)


def test_owners_that_differ_by_a_dot_have_jobs_of_different_names() -> None:
    dotted, plain = (
        names.job_name(owner=owner, uid="u1", run="retention", stage="sweep", attempt=1) for owner in ("a.b", "a-b")
    )
    assert dotted != plain
