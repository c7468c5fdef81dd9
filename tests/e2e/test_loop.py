"""Refresh after refresh with new data each time, while replicas and training pods are killed between and inside stages.

One namespace walks through the story; each fixture is one act of it and holds what was seen.
"""

import collections
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.e2e import objects, run, training
from tests.e2e.place import Document, Place
from tests.e2e.replicas import Replicas
from tests.e2e.training import Training
from tests.jobs import builders

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One run of the story."""

    status: Document
    """When it had ended."""
    training: Training | None = None
    """The attempt that was disturbed."""
    leaders: tuple[str, str] = ("", "")
    """Who led before and after a kill."""
    answer: Document | None = None
    """The manifest that the chat server gave out at the end."""

    @property
    def run(self) -> str:
        """Id of the run."""
        return str(self.status["run"]["id"])

    @property
    def live(self) -> str:
        """Digest of the version that serves."""
        return str(self.status["live"]["digest"])


@pytest.fixture(scope="module")
def place(new_place: Callable[[str], Place], pair: builders.Pair) -> Place:
    made = new_place("loop")
    made.furnish(pair)
    return made


@pytest.fixture(scope="module")
def first(place: Place, operator: Replicas) -> Act:
    """The leader dies while a pod trains."""
    place.apply(objects.refresh(place.namespace))
    caught = training.catch(place)
    former = operator.kill_leader()
    leader = operator.await_leader_after(former)
    caught.go_on()
    status = run.ended(place)
    return Act(status=status, training=caught, leaders=(former, leader), answer=place.answer("manifest.json"))


@pytest.fixture(scope="module")
def second(place: Place, first: Act) -> Act:
    """New data; the training process is killed."""
    place.learn(2, documents=120)
    place.ask("second")
    caught = training.catch(place, steps_ahead=True)
    caught.die()
    return Act(status=run.ended(place, after=first.run), training=caught)


@pytest.fixture(scope="module")
def third(place: Place, operator: Replicas, second: Act) -> Act:
    """New data; the training pod is evicted, and the leader dies as soon as training has ended."""
    place.learn(3)
    place.ask("third")
    caught = training.catch(place)
    place.evict(caught.pod)
    caught.go_on()
    place.wait(lambda: _trained(place, caught.run), "training to succeed", poll=0.3)
    former = operator.kill_leader()
    return Act(status=run.ended(place, after=second.run), training=caught, leaders=(former, operator.leader()))


@pytest.fixture(scope="module")
def unchanged(place: Place, third: Act) -> Act:
    """A run is asked for, but there is no new data."""
    place.ask("fourth")
    return Act(status=run.ended(place, after=third.run))


@pytest.fixture(scope="module")
def rejected(place: Place, unchanged: Act) -> Act:
    """The instruct model itself is trained (Setting 1), and the gate asks for knowledge that it cannot have."""
    gate = {"suite": "knowledge", "metric": "exact_match", "versus": "Absolute", "minScore": "0.9"}
    place.patch({"spec": {"training": {"strategy": "Direct"}, "evaluation": {"gates": [gate]}}})
    return Act(status=run.ended(place, after=unchanged.run))


@pytest.fixture(scope="module")
def scheduled(place: Place, rejected: Act) -> Act:
    """Every minute is a tick."""
    place.patch({"spec": {"triggers": {"schedule": "* * * * *"}}})
    status = run.ended(place, after=rejected.run)
    place.patch({"spec": {"triggers": None}})
    return Act(status=status)


def _trained(place: Place, wanted: str) -> bool:
    return any(job.get("status", {}).get("succeeded") for job in place.items("jobs", stage="train", run=wanted))


def test_a_first_run_ends_promoted_although_its_leader_was_killed(first: Act) -> None:
    assert first.status["run"]["outcome"] == "Promoted", first.status
    assert first.status["run"]["trigger"]["kind"] == "FirstSight"


def test_the_other_replica_took_over(first: Act) -> None:
    former, leader = first.leaders
    assert former != leader != ""


def test_the_new_leader_started_no_stage_again(place: Place, first: Act) -> None:
    stages = ("evaluate", "import", "merge", "prepare", "train")
    assert run.attempts(place, first.run) == [(stage, "1") for stage in stages]


def test_the_training_pod_lived_through_the_kill(place: Place, first: Act) -> None:
    assert first.training is not None
    pods = place.items("pods", stage="train", run=first.run)
    assert [pod["metadata"]["uid"] for pod in pods] == [first.training.uid]


def test_the_promoted_version_is_what_clients_get(first: Act) -> None:
    assert first.answer is not None
    assert first.answer["digest"] == first.live == first.status["candidate"]["digest"]


def test_version_zero_was_the_first_to_serve(place: Place, first: Act) -> None:
    stock = place.get("modelversions", first.status["stock"]["version"])
    assert stock["spec"]["verdict"] == "Stock"
    assert first.status["previous"]["digest"] == stock["spec"]["digest"]


@pytest.mark.usefixtures("first")
def test_only_the_live_version_says_that_it_serves(place: Place) -> None:
    served = [item for item in place.items("modelversions") if item.get("status", {}).get("served")]
    assert [item["spec"]["digest"] for item in served] == [place.served()]


def test_a_killed_training_goes_on_from_its_checkpoint(second: Act) -> None:
    assert second.training is not None
    trained = run.stage(second.status, "train")
    assert trained["state"] == "Succeeded"
    assert trained["train"]["resumedStep"] == second.training.checkpoint


def test_the_steps_that_a_kill_cost_are_told(second: Act) -> None:
    assert second.training is not None
    trained = run.stage(second.status, "train")["train"]
    assert trained["lostSteps"] == second.training.step - second.training.checkpoint > 0


def test_a_killed_training_counts_as_a_disruption_and_not_as_a_failure(second: Act) -> None:
    trained = run.stage(second.status, "train")
    assert (trained["attempt"], trained["disruptions"], trained["failures"]) == (2, 1, 0)


def test_new_data_make_another_version(first: Act, second: Act) -> None:
    assert second.status["run"]["outcome"] == "Promoted"
    assert second.status["run"]["trigger"] == {"kind": "Annotation", "detail": "second"}
    assert second.status["previous"]["digest"] == first.live != second.live


def test_an_evicted_training_saves_before_it_goes(third: Act) -> None:
    assert third.training is not None
    trained = run.stage(third.status, "train")
    assert (trained["attempt"], trained["disruptions"], trained["failures"]) == (2, 1, 0)
    assert trained["train"]["resumedStep"] >= third.training.step
    assert trained["train"].get("lostSteps", 0) == 0


def test_a_leader_killed_between_stages_leaves_no_gap_and_no_second_job(place: Place, third: Act) -> None:
    jobs = collections.Counter(stage for stage, _ in run.attempts(place, third.run))
    assert jobs == {"prepare": 1, "train": 2, "merge": 1, "evaluate": 1}


def test_three_refreshes_in_a_row_are_promoted(third: Act) -> None:
    assert [entry["outcome"] for entry in third.status["history"]] == ["Promoted"] * 3
    assert len({entry["version"] for entry in third.status["history"]}) == 3


def test_the_gpu_time_of_all_attempts_is_summed_up(third: Act) -> None:
    spent = {item["stage"]: item["gpuSeconds"] for item in third.status["cost"]["stages"]}
    assert spent["train"] > 0


def test_unchanged_data_are_not_trained_on_again(place: Place, third: Act, unchanged: Act) -> None:
    assert unchanged.status["run"]["outcome"] == "Skipped"
    assert run.attempts(place, unchanged.run) == [("prepare", "1")]
    assert unchanged.live == third.live


def test_an_annotation_is_handled_once(unchanged: Act) -> None:
    assert unchanged.status["lastHandledRefresh"] == "fourth"
    assert unchanged.status["run"]["trigger"] == {"kind": "Annotation", "detail": "fourth"}


def test_a_candidate_below_its_gate_is_rejected_with_the_numbers(rejected: Act) -> None:
    ended = rejected.status["run"]
    assert (ended["outcome"], ended["reason"]) == ("Rejected", "BelowThreshold")
    assert "knowledge/exact_match 0.0000" in ended["message"]
    assert "needs 0.9000: Fail" in ended["message"]


def test_a_rejected_candidate_does_not_change_what_serves(place: Place, third: Act, rejected: Act) -> None:
    assert place.served() == rejected.live == third.live
    assert place.answer("manifest.json")["digest"] == third.live


def test_ready_stays_true_after_a_rejection(rejected: Act) -> None:
    ready = run.condition(rejected.status, "Ready")
    assert (ready["status"], ready["reason"]) == ("True", "Rejected")
    assert run.condition(rejected.status, "GatesPassed")["status"] == "False"


def test_direct_training_stands_beside_residual_training_in_the_versions(place: Place, rejected: Act) -> None:
    versions = {item["metadata"]["name"]: item["spec"] for item in place.items("modelversions")}
    direct = versions[rejected.status["candidate"]["version"]]
    residual = versions[rejected.status["live"]["version"]]
    assert (direct["lineage"]["strategy"], direct["verdict"]) == ("Direct", "Rejected")
    assert (residual["lineage"]["strategy"], residual["verdict"]) == ("Residual", "Passed")
    assert direct["lineage"]["data"] == residual["lineage"]["data"]


def test_a_schedule_opens_a_run_within_its_minute(scheduled: Act) -> None:
    assert scheduled.status["run"]["trigger"]["kind"] == "Schedule"
    assert scheduled.status["run"]["outcome"] == "Skipped"
