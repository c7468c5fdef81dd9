"""Sudden ends: objects deleted while a stage or a rollout is at work, and leaders killed in such moments.

One namespace; what the Deployment serves goes from one refresh to the next of the same name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import pytest

from modelrefresh.api import names
from modelrefresh.contract.vocabulary import Stage
from tests.e2e import objects, run, standstill
from tests.e2e.place import Document, Place
from tests.e2e.replicas import Replicas
from tests.jobs import builders

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

Served: TypeAlias = tuple[str | None, str | None]
"""Digest and path of the version that the Deployment names."""
_NOTHING: Final = (None, None)
_SHORT: Final[dict[str, object]] = {
    "spec.training.epochs": "1",
    "spec.rollout.approval": "Manual",
    "spec.rollout.progressDeadlineSeconds": 600,
}
"""Little training, since it is no stage of this story, and rollouts that begin when they are expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What was seen right after a deletion in this stage; none for a rollout."""

    stage: Stage | None
    left: list[str]
    """Jobs, and pods that may still write."""
    before: Served
    after: Served
    answer: Document | None = None
    """The manifest that the chat server gave out later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """One leader that was killed, and the one after it."""

    former: str
    leader: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Anew:
    """A refresh made anew, whose leaders were killed while it merged and while it rolled out."""

    adopted: str
    """Digest that it took for the live one before it had made any."""
    takeovers: tuple[Takeover, Takeover]
    status: Document
    """When its run had ended."""


@pytest.fixture(scope="module")
def place(new_place: Callable[[str], Place]) -> Place:
    return new_place("ends")


@pytest.fixture(scope="module")
def uncut(place: Place, pair: builders.Pair) -> End:
    """The residual is deleted while it is cut."""
    barrier = standstill.extraction(place)
    place.furnish(pair)
    barrier.await_stage()
    before = _served(place)
    place.delete("instructionresiduals", objects.RESIDUAL)
    return End(stage=Stage.EXTRACT, left=run.writers(place, barrier.run), before=before, after=_served(place))


@pytest.fixture(scope="module")
def cut(place: Place, uncut: End) -> Document:
    """The residual is made anew."""
    assert uncut.left == []
    place.apply(objects.residual(place.namespace))
    place.wait(lambda: run.stored(place), "the residual to be stored")
    return place.get("instructionresiduals", objects.RESIDUAL)


@pytest.fixture(scope="module", params=[Stage.IMPORT, Stage.PREPARE, Stage.MERGE, Stage.EVALUATE])
def deleted(request: pytest.FixtureRequest, place: Place, cut: Document) -> End:
    """The refresh is made, and deleted in this stage."""
    assert cut["status"]["digest"]
    barrier = standstill.before(request.param, place, _SHORT)
    barrier.await_stage()
    before = _served(place)
    place.delete("modelrefreshes", objects.REFRESH)
    return End(stage=request.param, left=run.writers(place, barrier.run), before=before, after=_served(place))


@pytest.fixture(scope="module")
def left_alone(place: Place, cut: Document) -> End:
    """The refresh is deleted while its version is rolled out, which becomes able to start only afterwards."""
    assert cut["status"]["digest"]
    place.apply(objects.refresh(place.namespace, _SHORT))
    with standstill.rollout(place):
        before, ran = _served(place), place.status()["run"]["id"]
        place.delete("modelrefreshes", objects.REFRESH)
        left, after = run.writers(place, ran), _served(place)
    place.await_server()
    return End(stage=None, left=left, before=before, after=after, answer=place.answer("manifest.json"))


@pytest.fixture(scope="module")
def anew(place: Place, operator: Replicas, left_alone: End) -> Anew:
    """The refresh is made anew over new data."""
    assert left_alone.after == left_alone.before
    place.learn(2)
    barrier = standstill.before(Stage.MERGE, place, _SHORT)
    barrier.await_stage()
    adopted = place.status()["live"]["digest"]
    merging = _take_over(operator)
    barrier.lift()
    place.wait(lambda: run.reads(place, "AwaitingApproval"), "a candidate to await approval")
    with standstill.rollout(place):
        rolling = _take_over(operator)
    return Anew(adopted=adopted, takeovers=(merging, rolling), status=run.ended(place))


def _served(place: Place) -> Served:
    [container] = place.get("deployments", objects.DEPLOYMENT)["spec"]["template"]["spec"]["containers"]
    variables = {item["name"]: item["value"] for item in container.get("env", ())}
    return place.served(), variables.get(names.MODEL_VARIABLE)


def _take_over(operator: Replicas) -> Takeover:
    """Kill the leader; the other replica must be there to follow."""
    operator.await_all()
    former = operator.kill_leader()
    return Takeover(former=former, leader=operator.await_leader_after(former))


def test_a_residual_that_is_deleted_while_it_is_cut_leaves_nothing_that_writes(uncut: End) -> None:
    assert uncut.left == []


def test_a_residual_that_is_made_anew_is_cut_after_all(cut: Document) -> None:
    assert (cut["status"]["extract"]["state"], cut["status"]["extract"]["attempt"]) == ("Succeeded", 1)


def test_a_refresh_that_is_deleted_in_any_stage_leaves_nothing_that_writes(deleted: End) -> None:
    assert deleted.left == []


def test_deleting_a_refresh_in_any_stage_leaves_the_deployment_as_it_is(deleted: End) -> None:
    assert deleted.after == deleted.before


def test_the_deployment_names_no_version_before_the_stock_model_is_imported(deleted: End) -> None:
    assert (deleted.after == _NOTHING) == (deleted.stage is Stage.IMPORT)


def test_a_refresh_that_is_deleted_in_its_rollout_leaves_nothing_that_writes(left_alone: End) -> None:
    assert left_alone.left == []


def test_deleting_a_refresh_in_its_rollout_leaves_the_deployment_as_it_is(left_alone: End) -> None:
    assert left_alone.after == left_alone.before != _NOTHING


def test_a_rollout_ends_although_its_refresh_is_gone(left_alone: End) -> None:
    assert left_alone.answer is not None
    assert left_alone.answer["digest"] == left_alone.after[0]


def test_a_refresh_that_is_made_anew_goes_on_with_what_serves(left_alone: End, anew: Anew) -> None:
    assert anew.adopted == left_alone.after[0]


def test_the_other_replica_took_over_each_time(anew: Anew) -> None:
    assert all(takeover.leader not in {"", takeover.former} for takeover in anew.takeovers)


def test_a_run_is_promoted_although_leaders_died_in_its_merge_and_its_rollout(anew: Anew) -> None:
    assert anew.status["run"]["outcome"] == "Promoted", anew.status


def test_the_run_that_lost_its_leaders_serves(place: Place, left_alone: End, anew: Anew) -> None:
    assert place.served() == anew.status["candidate"]["digest"] == anew.status["live"]["digest"] != left_alone.after[0]


def test_no_leader_started_a_stage_again(place: Place, anew: Anew) -> None:
    stages = ("evaluate", "import", "merge", "prepare", "train")
    assert run.attempts(place, anew.status["run"]["id"]) == [(stage, "1") for stage in stages]
