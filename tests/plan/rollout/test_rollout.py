"""The way into the Deployment and back: who decides, what is written, what is held."""

import dataclasses
import datetime

import pytest

from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.refresh import RefreshStatus, Rollout
from modelrefresh.api.status.run import Outcome
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.actions import MarkServed, Serve, StopJob
from modelrefresh.plan.decide import decide
from modelrefresh.plan.observed import ObservedRefresh, ObservedTarget
from modelrefresh.plan.stages import stage_records
from tests import builders
from tests.plan.sights import (
    NEWER,
    NOW,
    STOCK,
    a_deployment,
    a_job,
    a_meta,
    a_ref,
    a_run,
    a_sight,
    a_status,
    a_version,
    at_work,
)

LATE = NOW + datetime.timedelta(seconds=1201)


def rolling(digest: str = NEWER, **change: object) -> RefreshStatus:
    """A rollout to this digest is under way."""
    run = a_run(Stage.EVALUATE)
    judged = run.record(Stage.EVALUATE)
    assert judged is not None
    facts = {"incumbent": STOCK, "verdicts": [_PASS]}
    run = stage_records.put(run, judged.evolve(state="Succeeded", digest=digest, evaluate=facts))
    return a_status(run=run, candidate=a_ref(digest), rollout=Rollout(to=a_ref(digest), start_time=NOW, **change))


def with_newer(status: RefreshStatus, **deployment: object) -> ObservedRefresh:
    """Both versions exist; the Deployment is as told."""
    versions = (a_version(served=True), a_version(NEWER))
    return a_sight(status=status, versions=versions, target=a_deployment(**deployment))


_PASS = {"suite": "s", "metric": "m", "versus": "Incumbent", "needed": "0", "verdict": "Pass"}


def test_a_rollout_points_the_deployment_at_the_version_s_path() -> None:
    plan = decide(with_newer(rolling()), NOW)
    assert plan.actions == (
        Serve(
            kind="Deployment",
            name="chat",
            uid="d1",
            container="server",
            path=f"/models/versions/{NEWER}",
            version=f"news-{NEWER[:8]}",
            digest=NEWER,
        ),
    )


def test_a_rollout_that_is_not_settled_is_waited_for_with_what_is_missing() -> None:
    plan = decide(with_newer(rolling(), digest=NEWER, settled=False, message="0 of 1 replicas are updated"), NOW)
    assert not plan.actions
    assert "0 of 1 replicas are updated" in plan.summary.message


def test_a_settled_rollout_ends_the_run_as_promoted() -> None:
    plan = decide(with_newer(rolling(applied=True), digest=NEWER), NOW)
    assert plan.status.run is not None
    assert plan.status.run.outcome is Outcome.PROMOTED
    assert (plan.status.live, plan.status.previous) == (a_ref(NEWER), a_ref())


def test_a_rollout_past_its_deadline_goes_back_and_holds_the_digest() -> None:
    plan = decide(with_newer(rolling(applied=True), digest=NEWER, settled=False, message="stuck"), LATE)
    assert [action.digest for action in plan.actions if isinstance(action, Serve)] == [STOCK]
    assert plan.status.held == (NEWER,)
    assert plan.status.run is not None
    assert (plan.status.run.outcome, plan.status.run.reason) == (
        Outcome.ROLLED_BACK,
        Reason.PROGRESS_DEADLINE_EXCEEDED,
    )


def test_a_clock_that_is_put_back_does_not_give_a_candidate_for_ever() -> None:
    observed = with_newer(rolling(applied=True), digest=NEWER, settled=False, message="0 of 1")
    earlier = NOW - datetime.timedelta(days=300)
    status = decide(observed, earlier).status
    late = decide(dataclasses.replace(observed, status=status), earlier + datetime.timedelta(seconds=1201))
    assert (late.summary.reason, late.status.held) == (Reason.ROLLED_BACK, (NEWER,))


def test_the_way_back_is_not_abandoned_for_being_slow() -> None:
    status = rolling(STOCK, is_rollback=True, applied=True).evolve(held=(NEWER,))
    plan = decide(with_newer(status, digest=STOCK, settled=False), LATE)
    assert plan.summary.stalled
    assert plan.status.held == (NEWER,)


def test_version_zero_past_its_deadline_has_nowhere_to_go_back_to() -> None:
    status = RefreshStatus(stock=a_ref(), rollout=Rollout(to=a_ref(), start_time=NOW, applied=True))
    plan = decide(a_sight(status=status, target=a_deployment(settled=False, message="crashing")), LATE)
    assert plan.summary.stalled
    assert not plan.actions
    assert "crashing" in plan.summary.message


def test_an_undo_by_hand_in_the_middle_of_a_rollout_is_respected() -> None:
    plan = decide(with_newer(rolling(applied=True), digest=STOCK), NOW)
    assert not plan.actions
    assert plan.status.held == (NEWER,)
    assert plan.status.rollout is None


def test_an_undo_by_hand_after_a_rollout_is_adopted_and_holds_what_was_undone() -> None:
    status = a_status(live=a_ref(NEWER), previous=a_ref(), run=a_run().evolve(outcome="Promoted"))
    plan = decide(with_newer(status, digest=STOCK), NOW)
    assert plan.status.live is not None
    assert plan.status.live.digest == STOCK
    assert plan.status.held == (NEWER,)


@pytest.mark.parametrize("digest", [None, "9" * 64])
def test_a_deployment_that_names_nothing_known_is_pointed_at_the_live_version_again(digest: str | None) -> None:
    plan = decide(with_newer(a_status(), digest=digest), NOW)
    assert [action.digest for action in plan.actions if isinstance(action, Serve)] == [STOCK]


def test_a_version_that_was_rejected_is_not_adopted_from_the_deployment() -> None:
    observed = with_newer(a_status(), digest=NEWER)
    observed = dataclasses.replace(observed, versions=(a_version(served=True), a_version(NEWER, passed=False)))
    plan = decide(observed, NOW)
    assert [action.digest for action in plan.actions if isinstance(action, Serve)] == [STOCK]


def test_a_lost_status_finds_the_live_version_in_the_deployment() -> None:
    observed = with_newer(RefreshStatus(), digest=NEWER)
    plan = decide(observed, NOW)
    assert plan.status.live is not None
    assert plan.status.live.digest == NEWER


def test_a_held_digest_is_not_rolled_out_again() -> None:
    run = a_run().evolve(stages=tuple(stage.evolve(state="Succeeded") for stage in a_run().stages))
    merged, judged = run.record(Stage.MERGE), run.record(Stage.EVALUATE)
    assert merged is not None
    assert judged is not None
    run = stage_records.put(run, merged.evolve(merge={"digest": NEWER}))
    run = stage_records.put(run, judged.evolve(digest=NEWER, evaluate={"incumbent": STOCK, "verdicts": [_PASS]}))
    status = a_status(run=run, candidate=a_ref(NEWER).evolve(since=None), held=(NEWER,))
    plan = decide(with_newer(status), NOW)
    assert not plan.actions
    assert plan.status.run is not None
    assert plan.status.run.reason == Reason.PROMOTION_HELD


@pytest.mark.parametrize(("approved", "serves"), [(None, False), ("another", False), (f"news-{NEWER[:8]}", True)])
def test_a_candidate_under_manual_approval_waits_for_its_own_name(approved: str | None, *, serves: bool) -> None:
    judged = rolling().evolve(rollout=None, candidate=a_ref(NEWER).evolve(since=None))
    assert judged.run is not None
    merged = judged.run.record(Stage.MERGE)
    assert merged is not None
    status = judged.evolve(run=stage_records.put(judged.run, merged.evolve(merge={"digest": NEWER})))
    observed = a_sight(
        {"spec.rollout.approval": "Manual"},
        status=status,
        versions=(a_version(served=True), a_version(NEWER)),
        meta=a_meta(approved=approved),
    )
    plan = decide(observed, NOW)
    assert any(isinstance(action, Serve) for action in plan.actions) is serves
    assert serves or plan.summary.reason is Reason.AWAITING_APPROVAL


@pytest.mark.parametrize("measured", [None, STOCK])
def test_an_evaluation_that_is_not_surely_of_the_candidate_rejects_it(measured: str | None) -> None:
    run = rolling().run
    assert run is not None
    merged, judged = run.record(Stage.MERGE), run.record(Stage.EVALUATE)
    assert merged is not None
    assert judged is not None
    run = stage_records.put(
        stage_records.put(run, merged.evolve(merge={"digest": NEWER})), judged.evolve(digest=measured)
    )
    plan = decide(with_newer(a_status(run=run, candidate=a_ref(NEWER).evolve(since=None))), NOW)
    assert plan.status.run is not None
    assert (plan.status.run.outcome, plan.status.run.reason) == ("Rejected", Reason.RESULTS_MISSING)


def test_versions_are_marked_as_served_and_no_longer_served() -> None:
    status = a_status(live=a_ref(NEWER), run=a_run().evolve(outcome="Promoted"))
    plan = decide(with_newer(status, digest=NEWER), NOW)
    assert plan.actions == (
        MarkServed(name=f"news-{STOCK[:8]}", target=None),
        MarkServed(name=f"news-{NEWER[:8]}", target="chat"),
    )


def test_what_an_earlier_refresh_left_serving_is_not_replaced_by_the_stock_model() -> None:
    observed = a_sight(status=RefreshStatus(stock=a_ref()), versions=(a_version(),), target=a_deployment(digest=NEWER))
    plan = decide(observed, NOW)
    assert not plan.actions
    assert plan.status.live is not None
    assert plan.status.live.digest == NEWER


def suspended(observed: ObservedRefresh) -> ObservedRefresh:
    """The same with spec.suspend."""
    return dataclasses.replace(observed, spec=builders.refresh_spec({"spec.suspend": True}))


UNDER_WAY = with_newer(rolling(applied=True), digest=NEWER, settled=False, message="stuck")
AMISS = [
    suspended(UNDER_WAY),
    dataclasses.replace(UNDER_WAY, residual=None),
    dataclasses.replace(UNDER_WAY, missing_claims=("corpus",)),
]


@pytest.mark.parametrize("observed", AMISS, ids=["suspended", "no residual", "no claim"])
def test_a_rollout_under_way_is_taken_back_in_time_whatever_else_is_amiss(observed: ObservedRefresh) -> None:
    plan = decide(observed, LATE)
    assert [action.digest for action in plan.actions if isinstance(action, Serve)] == [STOCK]


@pytest.mark.parametrize("observed", AMISS, ids=["suspended", "no residual", "no claim"])
def test_a_rollout_under_way_ends_well_whatever_else_is_amiss(observed: ObservedRefresh) -> None:
    plan = decide(dataclasses.replace(observed, target=a_deployment(digest=NEWER)), NOW)
    assert plan.status.live == a_ref(NEWER)


def test_a_suspended_refresh_does_not_begin_a_rollout_that_was_only_announced() -> None:
    plan = decide(suspended(with_newer(rolling())), NOW)
    assert not plan.actions
    assert plan.summary.reason is Reason.SUSPENDED


def test_the_way_back_is_pointed_at_although_suspended() -> None:
    plan = decide(suspended(with_newer(rolling(STOCK, is_rollback=True), digest=NEWER)), NOW)
    assert [action.digest for action in plan.actions if isinstance(action, Serve)] == [STOCK]


@pytest.mark.parametrize(
    "deployment",
    [
        a_deployment(containers=("renamed",), mounts={"renamed": "/models"}),
        a_deployment(
            mounts={"server": "/elsewhere"},
            models={"server": f"/models/versions/{STOCK}"},
            dangling=frozenset({"server"}),
        ),
    ],
    ids=["renamed container", "moved mount"],
)
def test_a_container_that_does_not_load_the_live_version_is_pointed_at_it(deployment: ObservedTarget) -> None:
    plan = decide(a_sight(target=deployment), NOW)
    [mount] = deployment.mounts.values()
    assert [action.path for action in plan.actions if isinstance(action, Serve)] == [f"{mount}/versions/{STOCK}"]


def test_a_version_that_is_still_there_is_served_on_where_it_is_although_the_workspace_is_another() -> None:
    mounts, models = {"server": "/new"}, {"server": f"/models/versions/{STOCK}"}
    plan = decide(a_sight(target=a_deployment(mounts=mounts, models=models)), NOW)
    assert not any(isinstance(action, Serve) for action in plan.actions)


def test_a_variable_that_somebody_else_sets_is_told_and_not_fought_over() -> None:
    plan = decide(a_sight(target=a_deployment(models={"server": "/models/mine"})), NOW)
    assert not plan.actions
    assert (plan.summary.reason, plan.summary.stalled) == (Reason.TARGET_CONFLICT, True)
    assert "MODELREFRESH_MODEL=/models/mine, expected /models/versions/555" in plan.summary.message


def test_a_rollout_whose_apply_was_lost_is_applied_again_although_the_digest_fits() -> None:
    deployment = a_deployment(containers=("renamed",), mounts={"renamed": "/models"}, settled=False)
    status = a_status(rollout=Rollout(to=a_ref(), start_time=NOW, is_rollback=True))
    plan = decide(a_sight(status=status, target=deployment), NOW)
    assert [action.container for action in plan.actions if isinstance(action, Serve)] == ["renamed"]


@pytest.mark.parametrize("told", [{}, {"server": f"/models/versions/{STOCK}"}, {"server": "/somewhere"}])
def test_a_candidate_that_the_container_does_not_load_is_not_promoted(told: dict[str, str]) -> None:
    plan = decide(with_newer(rolling(applied=True), digest=NEWER, models=told), NOW)
    assert plan.status.live == a_ref()


def test_a_foreign_variable_in_the_middle_of_a_rollout_is_told_and_not_fought_over() -> None:
    plan = decide(with_newer(rolling(applied=True), digest=NEWER, models={"server": "/somewhere"}), NOW)
    assert (plan.summary.reason, plan.actions) == (Reason.TARGET_CONFLICT, ())


def test_the_deadline_counts_from_when_the_deployment_was_pointed() -> None:
    assert decide(with_newer(rolling()), LATE).status.held == ()
    pointed = decide(with_newer(rolling(), digest=NEWER, settled=False), LATE).status.rollout
    assert pointed is not None
    assert (pointed.applied, pointed.start_time) == (True, LATE)


def test_a_suspended_refresh_stops_training_although_a_rollout_does_not_end() -> None:
    status = at_work(Stage.TRAIN).evolve(rollout=Rollout(to=a_ref(), start_time=NOW, is_rollback=True, applied=True))
    observed = with_newer(status, digest=STOCK, settled=False)
    plan = decide(suspended(dataclasses.replace(observed, jobs=(a_job(),))), NOW)
    assert plan.actions == (StopJob(name="news-r1-train-1", uid="j1"),)


def test_a_way_back_that_a_person_undoes_leaves_the_run_at_work_alone() -> None:
    status = at_work(Stage.TRAIN).evolve(rollout=Rollout(to=a_ref(), start_time=NOW, is_rollback=True, applied=True))
    plan = decide(dataclasses.replace(with_newer(status, digest=NEWER), jobs=(a_job(),)), NOW)
    assert plan.status.run is not None
    assert plan.status.run.outcome is None
