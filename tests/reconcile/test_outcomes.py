"""How a run ends, seen from outside: objects in, passes, objects out."""

import asyncio
import contextlib

import pytest

from modelrefresh import errors, reconcile
from modelrefresh.api.status.run import Outcome
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from tests import builders
from tests.reconcile import world
from tests.reconcile.world import NAMESPACE, STOCK, World


def test_a_candidate_that_passes_every_gate_serves() -> None:
    place = World()
    status = place.settle()
    assert status.run is not None
    assert status.run.outcome is Outcome.PROMOTED
    assert status.live is not None
    assert place.served() == status.live.digest != STOCK


def test_version_zero_serves_before_anything_is_trained() -> None:
    place = World()
    place.answers[Stage.PREPARE] = world.failing(ExitCode.BAD_INPUT, "DataUnreadable", "line 3 is not JSON")
    status = place.settle()
    assert place.served() == STOCK
    assert status.run is not None
    assert status.run.outcome is Outcome.FAILED


def test_a_candidate_below_a_gate_is_not_served() -> None:
    place = World()
    place.answers[Stage.EVALUATE] = world.scoring(-0.2)
    status = place.settle()
    assert status.run is not None
    assert status.run.outcome is Outcome.REJECTED
    assert place.served() == STOCK


def test_a_rejected_candidate_leaves_ready_true() -> None:
    place = World()
    place.answers[Stage.EVALUATE] = world.scoring(-0.2)
    ready = next(item for item in place.settle().conditions if item.type == "Ready")
    assert (ready.status, ready.reason) == ("True", "Rejected")


def test_a_candidate_whose_rollout_never_settles_gives_way_to_the_previous_version() -> None:
    place = World()
    place.answers[Stage.PREPARE] = world.failing(ExitCode.BAD_INPUT, "DataUnreadable")
    place.settle()
    place.answers[Stage.PREPARE] = world.preparing("c" * 64)
    place.rollouts = False
    place.edit(lambda refresh: refresh["spec"]["data"].update(uri="pvc://corpus/other"))
    place.settle()
    place.wait(1300)
    place.rollouts = True
    status = place.settle()
    assert status.run is not None
    assert status.run.outcome is Outcome.ROLLED_BACK
    assert place.served() == STOCK


def test_unchanged_data_is_skipped_without_a_train_job() -> None:
    place = World()
    place.settle()
    trained = len(place.jobs(Stage.TRAIN))
    place.answers[Stage.PREPARE] = world.preparing("f" * 64, unchanged=True)
    place.edit(
        lambda refresh: refresh["metadata"].setdefault("annotations", {}).update({"modelrefresh.dev/refresh": "1"})
    )
    status = place.settle()
    assert status.run is not None
    assert status.run.outcome is Outcome.SKIPPED
    assert len(place.jobs(Stage.TRAIN)) == trained


def test_a_settled_refresh_causes_no_write() -> None:
    place = World()
    place.settle()
    before = len(place.cluster.writes)
    for _ in range(20):
        place.one_pass(world.REFRESH)
        place.one_pass(world.RESIDUAL)
    assert len(place.cluster.writes) == before


def test_a_preempted_attempt_does_not_use_up_the_limit() -> None:
    place = World()
    place.answers[Stage.TRAIN] = world.failing(ExitCode.PREEMPTED, "Preempted", "saved at step 40")
    for _ in range(40):
        place.one_pass(world.RESIDUAL)
        place.one_pass(world.REFRESH)
        place.play()
    assert len(place.jobs(Stage.TRAIN)) > 3
    status = place.status()
    assert status.run is not None
    assert status.run.outcome is None


def test_an_attempt_that_fails_by_its_own_fault_is_given_up_at_the_limit() -> None:
    place = World()
    place.answers[Stage.TRAIN] = world.failing(ExitCode.INTERNAL)
    place.settle()
    status = place.wait(600)
    status = place.wait(600)
    assert status.run is not None
    assert status.run.outcome is Outcome.FAILED
    assert len(place.jobs(Stage.TRAIN)) == 3


def test_a_changed_spec_supersedes_the_active_run() -> None:
    place = World()
    place.held.add(Stage.TRAIN)
    first = place.settle().run
    place.held.clear()
    place.edit(lambda refresh: refresh["spec"]["data"].update(uri="pvc://corpus/other"))
    status = place.settle()
    assert first is not None
    assert (first.id, Outcome.SUPERSEDED) in [(line.run, line.outcome) for line in status.history]
    assert status.run is not None
    assert status.run.outcome is Outcome.PROMOTED


def test_deletion_takes_the_jobs_and_leaves_what_serves() -> None:
    place = World()
    digest = place.settle().live
    place.edit(lambda refresh: refresh["metadata"].update(deletionTimestamp="2026-11-23T00:00:00Z"))
    for _ in range(5):
        place.one_pass(world.REFRESH)
    assert place.cluster.peek(kinds.MODEL_REFRESH, namespace=NAMESPACE, name="news") is None
    assert not [job for job in place.jobs() if world.request_of(job).owner == "news"]
    assert digest is not None
    assert place.served() == digest.digest


def test_a_status_that_was_lost_is_found_again_without_touching_what_serves() -> None:
    place = World()
    digest = place.settle().live
    place.edit(lambda refresh: refresh.update(status={}))
    status = place.settle()
    assert digest is not None
    assert status.live is not None
    assert place.served() == status.live.digest == digest.digest


def test_a_refresh_made_anew_goes_on_with_what_serves() -> None:
    place = World()
    trained = place.settle().live
    place.edit(lambda refresh: refresh["metadata"].update(deletionTimestamp="2026-11-23T00:00:00Z"))
    for _ in range(5):
        place.one_pass(world.REFRESH)
    place.cluster.add(kinds.MODEL_REFRESH, builders.refresh())
    place.answers[Stage.EVALUATE] = world.scoring(-0.2)
    place.settle()
    assert trained is not None
    assert place.served() == trained.digest


def test_a_refused_write_is_told_as_an_event() -> None:
    place = World()
    place.cluster.fail("create", kinds.JOB, errors.ForbiddenError("exceeded quota: pods"), times=1)
    with contextlib.suppress(errors.ForbiddenError):
        for _ in range(6):
            place.one_pass(world.RESIDUAL)
    told = [event["reason"] for event in place.cluster.all(kinds.EVENT, namespace=NAMESPACE)]
    assert "WriteRefused" in told


def test_what_happened_is_told_although_the_write_after_it_failed() -> None:
    place = World()
    place.settle()
    place.cluster.fail("create", kinds.JOB, errors.UnavailableError("no answer"), times=1)
    place.edit(lambda refresh: refresh["spec"]["data"].update(uri="pvc://corpus/other"))
    with pytest.raises(errors.UnavailableError):
        place.settle()
    run = place.settle().run
    assert run is not None
    told = [event["message"] for event in place.cluster.all(kinds.EVENT, namespace=NAMESPACE)]
    assert any(f"run {run.id} opened by SpecChanged" in message for message in told)


def test_a_disk_that_is_full_for_an_hour_costs_no_training() -> None:
    place = World()
    finds_room = place.answers[Stage.MERGE]
    place.answers[Stage.MERGE] = world.failing(ExitCode.TRANSIENT, "InsufficientStorage", "the workspace is full")
    for _ in range(10):
        full = place.wait(600)
    stalled = next(item for item in full.conditions if item.type == "Stalled")
    assert (stalled.status, stalled.reason) == ("True", "InsufficientStorage")
    place.answers[Stage.MERGE] = finds_room
    place.wait(600)
    ended = place.settle().run
    assert ended is not None
    assert ended.outcome is Outcome.PROMOTED
    assert len(place.jobs(Stage.TRAIN)) == 1


def test_a_run_waits_for_a_jobs_image_of_this_release_and_trains_once() -> None:
    place = World()
    place.settle()
    trained = len(place.jobs(Stage.TRAIN))
    understands = place.answers[Stage.MERGE]
    place.answers[Stage.MERGE] = world.failing(ExitCode.BAD_INPUT, "InputInvalid", "unknown keys ['of_tomorrow']")
    place.edit(lambda refresh: refresh["spec"]["data"].update(uri="pvc://corpus/other"))
    waiting = place.wait(4000)
    stalled = next(item for item in waiting.conditions if item.type == "Stalled")
    assert (stalled.status, stalled.reason) == ("True", "InputInvalid")
    place.answers[Stage.MERGE] = understands
    place.cluster.edit(
        kinds.REFRESH_PROFILE, lambda it: it["spec"].update(image=f"jobs@sha256:{'b' * 64}"), name="default"
    )
    ended = place.settle().run
    assert ended is not None
    assert (ended.outcome, ended.id) == (Outcome.PROMOTED, waiting.run.id if waiting.run else "")
    assert len(place.jobs(Stage.TRAIN)) == trained + 1


@pytest.mark.parametrize("strange", ["../../sources/secret", "x" * 500, "5" * 63])
def test_an_annotation_that_is_no_digest_is_not_taken_for_what_serves(strange: str) -> None:
    place = World()
    place.choose(strange)
    place.answers[Stage.EVALUATE] = world.scoring(-0.2)
    for _ in range(60):
        asyncio.run(reconcile.one_pass(place.cluster, world.RESIDUAL, now=place.now))
        asyncio.run(reconcile.one_pass(place.cluster, world.REFRESH, now=place.now))
        place.play()
    assert place.served() == STOCK


@pytest.mark.parametrize(("strategy", "scale"), [("Residual", "1.0"), ("Direct", None)])
def test_only_a_version_that_was_given_the_residual_tells_its_scale(strategy: str, scale: str | None) -> None:
    place = World({"spec.training.strategy": strategy})
    place.settle()
    versions = place.cluster.all(kinds.MODEL_VERSION, namespace=NAMESPACE)
    (lineage,) = (item["spec"]["lineage"] for item in versions if item["spec"]["lineage"]["strategy"] == strategy)
    assert lineage.get("scale") == scale


def test_a_version_tells_its_tensors_factors_and_what_it_was_averaged_with() -> None:
    place = World(
        {
            "spec.residual.scales": [{"tensors": "*.mlp.*", "scale": "0.5"}],
            "spec.average": {"previous": "0.3"},
        }
    )
    place.settle()
    versions = place.cluster.all(kinds.MODEL_VERSION, namespace=NAMESPACE)
    (lineage,) = (item["spec"]["lineage"] for item in versions if item["spec"]["lineage"]["strategy"] == "Residual")
    assert lineage["scales"] == [{"tensors": "*.mlp.*", "scale": "0.5"}]
    assert (lineage["average"], lineage["averaged"]) == ("0.3", STOCK)
