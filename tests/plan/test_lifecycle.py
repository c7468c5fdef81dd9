"""An object of either kind is held from its first sight until its Jobs are gone."""

import dataclasses
from typing import Any

import pytest

from modelrefresh.api.status.residual import ResidualStatus
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan import lifecycle
from modelrefresh.plan.actions import AddFinalizer, RemoveFinalizer, StopJob
from modelrefresh.plan.observed import JobState, Observed, ObservedExtraction
from tests.plan.sights import NOW, a_job, a_meta, a_sight

KINDS: tuple[Observed[Any], ...] = (a_sight(), ObservedExtraction(meta=a_meta(), spec=None, status=ResidualStatus()))
either = pytest.mark.parametrize("observed", KINDS, ids=lambda one: type(one).__name__)


def deleted(observed: Observed[Any], **change: object) -> Observed[Any]:
    return dataclasses.replace(observed, meta=a_meta(deleting=True), **change)


@either
def test_the_finalizer_comes_before_all_work(observed: Observed[Any]) -> None:
    plan = lifecycle.add_finalizer(dataclasses.replace(observed, meta=a_meta(finalizer=False)), NOW)
    assert plan is not None
    assert plan.actions == (AddFinalizer(),)


@either
def test_an_object_that_is_held_and_wanted_is_left_to_the_other_rules(observed: Observed[Any]) -> None:
    assert (lifecycle.add_finalizer(observed, NOW), lifecycle.clean_up(observed, NOW)) == (None, None)


@either
def test_deletion_takes_the_jobs_before_it_lets_the_object_go(observed: Observed[Any]) -> None:
    plan = lifecycle.clean_up(deleted(observed, jobs=(a_job(state=JobState.SUCCEEDED),)), NOW)
    assert plan is not None
    assert plan.actions == (StopJob(name="news-r1-train-1", uid="j1"),)
    assert plan.requeue_after_seconds


@either
def test_a_pod_that_may_still_write_keeps_the_object(observed: Observed[Any]) -> None:
    plan = lifecycle.clean_up(deleted(observed, pods=frozenset({("r1", Stage.TRAIN)})), NOW)
    assert plan is not None
    assert plan.actions == ()
    assert plan.requeue_after_seconds


@either
def test_an_object_without_jobs_and_pods_goes(observed: Observed[Any]) -> None:
    plan = lifecycle.clean_up(deleted(observed), NOW)
    assert plan is not None
    assert (plan.actions, plan.requeue_after_seconds) == ((RemoveFinalizer(),), None)


def test_a_crowd_of_jobs_is_stopped_over_several_passes() -> None:
    crowd = [a_job(uid=f"j{number}") for number in range(50)]
    assert [action.uid for action in lifecycle.stop(crowd)] == [f"j{number}" for number in range(20)]  # type: ignore[union-attr]


def test_an_ended_job_is_stopped_only_when_it_shall_go() -> None:
    ended = a_job(state=JobState.FAILED)
    assert lifecycle.stop([ended]) == ()
    assert lifecycle.stop([ended], finished=True) == (StopJob(name=ended.name, uid=ended.uid),)


def test_a_job_on_its_way_out_is_not_stopped_again() -> None:
    assert lifecycle.stop([a_job(deleting=True)], finished=True) == ()
