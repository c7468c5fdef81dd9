"""What people do to a refresh on its way: change, suspend, resume, approve, compete, starve it of GPUs, delete it.

One namespace walks through the story; each fixture is one act of it and holds what was seen.
Promotion waits for a person here, which leaves time to damage a version before it is rolled out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from modelrefresh.api import names
from modelrefresh.contract import artifacts
from modelrefresh_jobs.storage import sealed
from tests.e2e import objects, run, training
from tests.e2e.place import Document, Place
from tests.e2e.training import Training
from tests.jobs import builders

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What was seen at the end of one act."""

    place: Place
    status: Document
    served: str | None
    """Digest in the Deployment."""
    trained: tuple[str, ...] = ()
    """Pods that might still train."""
    training: Training | None = None
    """The attempt that was at work."""
    refresh: Document | None = None
    """Another ModelRefresh that played a part."""
    generation: int = 0
    """How often the Deployment has changed."""

    @property
    def run(self) -> str:
        """Id of the run."""
        return str(self.status["run"]["id"])


def _act(place: Place, **more: Any) -> Act:  # noqa: ANN401 -- fields of Act
    generation = place.get("deployments", objects.DEPLOYMENT)["metadata"]["generation"]
    return Act(place=place, status=place.status(), served=place.served(), generation=generation, **more)


@pytest.fixture(scope="module")
def place(new_place: Callable[[str], Place], pair: builders.Pair) -> Place:
    made = new_place("steering")
    made.furnish(pair)
    return made


@pytest.fixture(scope="module")
def superseded(place: Place) -> Act:
    """Another seed is asked for while the first run trains."""
    rollout = {"spec.rollout.approval": "Manual", "spec.rollout.progressDeadlineSeconds": 20}
    place.apply(objects.refresh(place.namespace, rollout))
    first = training.catch(place)
    place.patch({"spec": {"training": {"seed": 1}}})
    place.wait(lambda: place.status().get("history"), "the run to be superseded")
    first.go_on()
    second = training.catch(place, after=first.run)
    return _act(place, training=second, trained=tuple(training.alive(place)))


@pytest.fixture(scope="module")
def rival(superseded: Act) -> Act:
    """A second refresh wants the same Deployment."""
    place = superseded.place
    place.apply(objects.refresh(place.namespace, name="rival"))
    place.wait(lambda: run.reads(place, "TargetConflict", name="rival"), "the rival to be told")
    refresh = place.get("modelrefreshes", "rival")
    place.delete("modelrefreshes", "rival")
    return _act(place, training=superseded.training, refresh=refresh)


@pytest.fixture(scope="module")
def suspended(rival: Act) -> Act:
    """Hold everything while it trains."""
    place = rival.place
    assert rival.training is not None
    place.patch({"spec": {"suspend": True}})
    place.wait(lambda: run.reads(place, "Suspended"), "the suspension to be told")
    rival.training.go_on()
    place.wait(lambda: not training.alive(place), "training to stop")
    return _act(place, training=rival.training, trained=tuple(training.alive(place)))


@pytest.fixture(scope="module")
def resumed(suspended: Act) -> Act:
    """Go on, up to the question whether the candidate may serve."""
    place = suspended.place
    place.patch({"spec": {"suspend": False}})
    place.wait(lambda: run.reads(place, "AwaitingApproval"), "a candidate to await approval")
    return _act(place)


@pytest.fixture(scope="module")
def rolled_back(place: Place, resumed: Act) -> Act:
    """The approved version has lost a file, so that its server never gets ready."""
    candidate = resumed.status["candidate"]
    broken = artifacts.Workspace(root=place.folder).version(candidate["digest"]) / "config.json"
    broken.rename(broken.with_suffix(".lost"))
    place.approve(candidate["version"])
    run.ended(place, after=superseded_run(resumed))
    place.wait(lambda: run.reads(place, "Serving", kind="RolledOut"), "the way back to end")
    return _act(place)


@pytest.fixture(scope="module")
def held(place: Place, rolled_back: Act) -> Act:
    """Another run comes to the same digest: the same data and seed, and as many questions as there were before."""
    place.patch({"spec": {"evaluation": {"maxItems": 999}}})
    run.ended(place, after=rolled_back.run)
    return _act(place)


@pytest.fixture(scope="module")
def queued(held: Act) -> Act:
    """Two nodes are to train, but all GPUs are taken."""
    place = held.place
    place.apply(objects.occupier(place.namespace, place.images.operator, gpus=place.free_gpus()))
    place.wait(lambda: place.get("pods", "occupier")["status"].get("phase") == "Running", "all GPUs to be taken")
    place.learn(2)
    place.patch({"spec": {"training": {"method": "LoRA", "nodes": 2, "zeroStage": 2}}})
    place.wait(lambda: run.reads(place, "Queued") and _waits(place), "the wait for GPUs to be told")
    seen = _act(place)
    place.delete("pods", "occupier")
    return seen


@pytest.fixture(scope="module")
def promoted(place: Place, queued: Act) -> Act:
    """The GPUs are free again; two pods train, the candidate is approved."""
    place.wait(lambda: run.reads(place, "AwaitingApproval"), "a candidate to await approval")
    place.approve(place.status()["candidate"]["version"])
    run.ended(place, after=queued.status["history"][0]["run"])
    return _act(place)


@pytest.fixture(scope="module")
def deleted(place: Place, promoted: Act) -> Act:
    """The refresh is deleted while it trains."""
    place.learn(3)
    place.patch({"spec": {"training": {"method": "Full", "nodes": 1}}})
    caught = training.catch(place)
    place.delete("modelrefreshes", objects.REFRESH, "--wait=false")
    place.wait(lambda: place.items("jobs", run=caught.run) == [], "the Jobs to go")
    caught.go_on()
    place.wait(lambda: place.get("modelrefreshes", objects.REFRESH) == {}, "the refresh to go")
    return Act(place=place, status=promoted.status, served=place.served(), trained=tuple(training.alive(place)))


def superseded_run(act: Act) -> str:
    """Id of the run that was superseded."""
    return str(act.status["history"][0]["run"])


def _waits(place: Place) -> bool:
    return bool(run.stage(place.status(), "train").get("message"))


def test_a_changed_spec_supersedes_the_run_under_way(superseded: Act) -> None:
    [entry] = superseded.status["history"]
    assert entry["outcome"] == "Superseded"
    assert superseded.status["run"]["trigger"]["kind"] == "SpecChanged"


def test_the_superseded_run_leaves_nothing_that_trains(superseded: Act) -> None:
    assert all(superseded.run in name for name in superseded.trained)
    assert len(superseded.trained) == 1


def test_version_zero_serves_on_over_a_superseded_run(superseded: Act) -> None:
    assert superseded.served == superseded.status["stock"]["digest"] == superseded.status["live"]["digest"]


def test_a_second_refresh_of_one_deployment_is_told_of_the_conflict(rival: Act) -> None:
    assert rival.refresh is not None
    ready = run.condition(rival.refresh["status"], "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "TargetConflict")
    assert '"chat" is already rolled by ModelRefresh "news"' in ready["message"]


def test_the_second_refresh_starts_nothing(rival: Act) -> None:
    assert rival.refresh is not None
    assert "run" not in rival.refresh["status"]


def test_suspension_stops_training(suspended: Act) -> None:
    assert suspended.trained == ()
    assert run.stage(suspended.status, "train")["state"] == "Waiting"
    assert run.condition(suspended.status, "Suspended")["status"] == "True"


def test_ready_stays_true_while_suspended(suspended: Act) -> None:
    assert run.condition(suspended.status, "Ready")["status"] == "True"


def test_resumed_training_goes_on_from_its_checkpoint(suspended: Act, resumed: Act) -> None:
    assert suspended.training is not None
    trained = run.stage(resumed.status, "train")
    assert trained["train"]["resumedStep"] >= suspended.training.step
    assert trained["failures"] == 0


def test_a_candidate_that_passed_waits_for_a_person(resumed: Act) -> None:
    assert resumed.served == resumed.status["stock"]["digest"]
    ready = run.condition(resumed.status, "Ready")
    assert f"{names.ANNOTATION_APPROVE}={resumed.status['candidate']['version']}" in ready["message"]


def test_a_version_that_cannot_start_gives_way_to_the_one_before(resumed: Act, rolled_back: Act) -> None:
    assert (rolled_back.status["run"]["outcome"], rolled_back.status["run"]["reason"]) == (
        "RolledBack",
        "ProgressDeadlineExceeded",
    )
    assert rolled_back.served == resumed.served == rolled_back.status["live"]["digest"]


def test_a_digest_that_was_rolled_back_is_held(resumed: Act, rolled_back: Act) -> None:
    assert rolled_back.status["held"] == [resumed.status["candidate"]["digest"]]


def test_a_held_digest_is_not_rolled_out_again_by_itself(rolled_back: Act, held: Act) -> None:
    assert (held.status["run"]["outcome"], held.status["run"]["reason"]) == ("RolledBack", "PromotionHeld")
    assert [held.status["candidate"]["digest"]] == held.status["held"] == rolled_back.status["held"]


def test_a_held_digest_leaves_the_deployment_untouched(rolled_back: Act, held: Act) -> None:
    assert (held.served, held.generation) == (rolled_back.served, rolled_back.generation)


def test_a_version_that_lost_a_file_is_whole_when_it_was_merged_again(place: Place, held: Act) -> None:
    version = artifacts.Workspace(root=place.folder).version(held.status["candidate"]["digest"])
    assert sealed.verify(version, deep=True).digest == held.status["candidate"]["digest"]


def test_waiting_for_a_gpu_is_told(queued: Act) -> None:
    trained = run.stage(queued.status, "train")
    assert trained["state"] == "Queued"
    assert "Insufficient nvidia.com/gpu" in trained["message"]
    assert "Insufficient nvidia.com/gpu" in run.condition(queued.status, "Ready")["message"]


def test_training_goes_on_by_itself_when_gpus_are_free(promoted: Act, queued: Act) -> None:
    assert promoted.run == queued.run
    assert promoted.status["run"]["outcome"] == "Promoted"


def test_two_nodes_train_in_one_indexed_job(place: Place, promoted: Act) -> None:
    [job] = place.items("jobs", stage="train", run=promoted.run)
    assert (job["spec"]["completionMode"], job["status"]["succeeded"]) == ("Indexed", 2)
    assert len(place.items("pods", stage="train", run=promoted.run)) == 2


def test_the_version_tells_how_it_was_trained(place: Place, promoted: Act) -> None:
    version = place.get("modelversions", promoted.status["live"]["version"])
    assert version["spec"]["lineage"]["method"] == "LoRA"
    assert version["spec"]["lineage"]["tokens"] > 0


def test_an_approved_candidate_serves(promoted: Act) -> None:
    assert promoted.served == promoted.status["candidate"]["digest"]


def test_deleting_a_refresh_stops_its_training(place: Place, deleted: Act) -> None:
    assert deleted.trained == ()
    assert place.get("modelrefreshes", objects.REFRESH) == {}


def test_no_job_outlives_its_refresh(place: Place, deleted: Act) -> None:
    left = {job["metadata"]["labels"][names.LABEL_OWNER_KIND] for job in place.items("jobs")}
    assert left <= {names.RESIDUAL}, deleted


def test_the_deployment_serves_on_after_the_refresh_is_gone(place: Place, promoted: Act, deleted: Act) -> None:
    assert deleted.served == promoted.served
    assert place.answer("manifest.json")["digest"] == promoted.served
