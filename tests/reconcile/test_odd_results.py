"""What stages say that cannot be so: it is told, it costs few attempts, and nothing serves by it."""

import dataclasses
from collections.abc import Callable
from typing import Any, Final

import pytest

from modelrefresh.api.status.run import Outcome, StageRecord
from modelrefresh.contract.result import Result
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from tests import builders
from tests.fakes import controllers
from tests.reconcile import world
from tests.reconcile.world import NAMESPACE, World

Change = Callable[[Result], Result]
ATTEMPTS: Final = 3
"""The profile's default limit."""


def found(**change: Any) -> Change:  # noqa: ANN401 -- any figure
    """The summary of a stage with some figures replaced."""
    return lambda said: dataclasses.replace(said, summary=dataclasses.replace(said.summary, **change))


def whole(**change: Any) -> Change:  # noqa: ANN401
    """The result itself with some fields replaced."""
    return lambda said: dataclasses.replace(said, **change)


def scored(**change: Any) -> Change:  # noqa: ANN401
    """An evaluation whose one score is changed."""

    def change_score(said: Result) -> Result:
        scores = (dataclasses.replace(said.summary.scores[0], **change),)
        return dataclasses.replace(said, summary=dataclasses.replace(said.summary, scores=scores))

    return change_score


def crowded(said: Result) -> Result:
    """An evaluation of more suites than a spec can name."""
    scores = said.summary.scores * 17
    return dataclasses.replace(said, summary=dataclasses.replace(said.summary, scores=scores))


def odd(stage: Stage, change: Change) -> World:
    """A world in which the successes of this stage are changed."""
    place = World()
    usual = place.answers[stage]
    place.answers[stage] = lambda request: change(usual(request))
    return place


def record(place: World, stage: Stage) -> StageRecord:
    """What is remembered of this stage."""
    run = place.status().run
    assert run is not None
    found = run.record(stage)
    assert found is not None
    return found


UNUSABLE: Final[list[tuple[Stage, Change, str]]] = [
    (Stage.PREPARE, found(fingerprint="f" * 500), "fingerprint"),
    (Stage.PREPARE, found(tokens=10**30), "tokens"),
    (Stage.TRAIN, found(tokens=-5), "tokens"),
    (Stage.TRAIN, found(last_loss=1e300), "last_loss"),
    (Stage.TRAIN, whole(summary=None), "says nothing of train"),
    (Stage.TRAIN, whole(stage=Stage.MERGE, summary=None), "of stage merge"),
    (Stage.TRAIN, whole(run="another"), "of run another"),
    (Stage.MERGE, found(digest="../../elsewhere"), "merge.digest"),
    (Stage.MERGE, found(digest="A" * 64), "merge.digest"),
    (Stage.EVALUATE, scored(items=-1), "items"),
    (Stage.EVALUATE, scored(items=10**30), "items"),
    (Stage.EVALUATE, crowded, "scores"),
    (Stage.EVALUATE, found(incumbent=None), "compared with nothing"),
    (Stage.EVALUATE, found(incumbent="9" * 64), "compared with 999"),
]


@pytest.mark.parametrize(("stage", "change", "said"), UNUSABLE)
def test_a_success_that_cannot_be_used_is_tried_as_often_as_a_failure_and_told(
    stage: Stage, change: Change, said: str
) -> None:
    place = odd(stage, change)
    place.settle()
    place.wait(6)
    place.wait(31)
    status = place.status()
    assert (status.run.outcome if status.run else None) is Outcome.FAILED
    assert (record(place, stage).attempt, record(place, stage).reason) == (ATTEMPTS, "InternalError")
    assert said in (status.last_failure.message if status.last_failure else "")
    assert place.served() in (None, world.STOCK)


@pytest.mark.parametrize(
    "text", ["", "\n", "Killed", '{"stage": "train"', "[1]", '{"stage": "train", "run": NaN}', "5"]
)
def test_a_pod_that_ends_well_without_a_result_costs_an_attempt_and_its_pause(text: str) -> None:
    place = World()
    place.held.add(Stage.TRAIN)
    place.settle()
    job = place.jobs(Stage.TRAIN)[0]["metadata"]["name"]
    controllers.finish_job(place.cluster, NAMESPACE, job, message=text)
    place.one_pass(world.REFRESH)
    stage = record(place, Stage.TRAIN)
    assert (stage.attempt, stage.failures, stage.disruptions) == (1, 1, 0)
    assert f"termination message of pod {job}-0" in stage.message


def test_a_job_that_ended_well_and_lost_its_pods_costs_no_attempt() -> None:
    place = World()
    place.held.add(Stage.TRAIN)
    place.settle()
    job = place.jobs(Stage.TRAIN)[0]["metadata"]["name"]
    controllers.finish_job(place.cluster, NAMESPACE, job)
    for pod in place.cluster.all(kinds.POD, namespace=NAMESPACE):
        place.cluster.remove(kinds.POD, namespace=NAMESPACE, name=pod["metadata"]["name"])
    place.one_pass(world.REFRESH)
    assert record(place, Stage.TRAIN).failures == 0


@pytest.mark.parametrize(
    "change",
    [
        found(parameters=-1),
        found(digest="../residuals"),
        found(bytes=10**40),
        found(base_fingerprint="b" * 500),
    ],
)
def test_a_residual_whose_figures_cannot_be_is_not_ready_and_its_pass_goes_on(change: Change) -> None:
    place = odd(Stage.EXTRACT, change)
    place.settle()
    residual = place.cluster.peek(kinds.INSTRUCTION_RESIDUAL, namespace=NAMESPACE, name="instruct")
    assert residual is not None
    assert (residual["status"].get("digest"), residual["status"]["lastFailure"]["reason"]) == (None, "InternalError")


@pytest.mark.parametrize("freed", [-1, 10**30])
def test_a_sweep_that_says_what_cannot_be_stops_no_later_run(freed: int) -> None:
    place = World({"spec.retain": {"versions": 1, "runs": 1}})
    usual = place.answers[Stage.SWEEP]
    place.answers[Stage.SWEEP] = lambda request: found(bytes=freed)(usual(request))
    for number in range(5):
        place.answers[Stage.PREPARE] = world.preparing(f"{number}" * 64)
        place.edit(lambda refresh, n=number: refresh["spec"].setdefault("training", {}).update(seed=n))
        place.settle()
    status = place.status()
    assert place.jobs(Stage.SWEEP)
    assert (status.sweep.stage.state if status.sweep else None) == "Failed"
    assert (status.run.outcome if status.run else None) is Outcome.PROMOTED


def test_a_run_that_was_measured_against_what_no_longer_serves_is_measured_once_more() -> None:
    place = World()
    place.settle()
    stock = place.status().previous
    assert stock is not None
    asked: list[StageRequest] = []
    usual = place.answers[Stage.EVALUATE]

    def evaluate(request: StageRequest) -> Result:
        asked.append(request)
        if len(asked) == 1:
            place.choose(stock.digest)
        return usual(request)

    place.answers |= {Stage.EVALUATE: evaluate, Stage.PREPARE: world.preparing("c" * 64)}
    place.edit(lambda refresh: refresh["spec"]["data"].update(uri="pvc://corpus/other"))
    status = place.settle()
    assert [request.section.incumbent == stock.digest for request in asked if request.section] == [False, True]
    assert (status.run.outcome if status.run else None) is Outcome.PROMOTED


def test_the_profile_s_limit_of_attempts_bounds_an_evaluation_that_never_does_what_it_is_asked() -> None:
    place = odd(Stage.EVALUATE, found(incumbent=None))
    place.cluster.edit(
        kinds.REFRESH_PROFILE,
        lambda profile: profile["spec"].update(limits={"attempts": 1}),
        name=builders.profile()["metadata"]["name"],
    )
    place.settle()
    assert len(place.jobs(Stage.EVALUATE)) == 1
