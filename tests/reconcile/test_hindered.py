"""A stage whose pods cannot be made or started: told with its cause, and nothing is lost by waiting."""

from typing import Final

import pytest

from modelrefresh import errors
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.api.status.residual import ResidualStatus
from modelrefresh.api.status.run import Condition, Outcome
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from modelrefresh.kube.kinds import Kind
from tests.fakes import controllers
from tests.reconcile import world
from tests.reconcile.world import NAMESPACE, World

CAUSES: Final = (
    "forbidden: exceeded quota: compute, requested: pods=1, used: pods=3, limited: pods=3",
    'forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
    'forbidden: error looking up service account team-a/stages: serviceaccount "stages" not found',
    "forbidden: no PriorityClass with name urgent was found",
    "forbidden: maximum memory usage per Container is 1Gi, but limit is 4Gi",
    'forbidden: admission webhook "images.example.com" denied the request: unsigned image',
)
DAY: Final = 24 * 3600


def stalled(found: RefreshStatus | ResidualStatus) -> Condition:
    """The condition Stalled."""
    return next(item for item in found.conditions if item.type == "Stalled")


def residual(place: World) -> ResidualStatus:
    """The status of the InstructionResidual."""
    document = place.cluster.peek(kinds.INSTRUCTION_RESIDUAL, namespace=NAMESPACE, name=world.RESIDUAL.name)
    assert document is not None
    return ResidualStatus.read(document["status"])


def refusing(stage: Stage, cause: str = CAUSES[0]) -> World:
    """A world in which no pod of this stage can be made."""
    place = World()
    place.refusals[stage] = cause
    place.settle()
    return place


@pytest.mark.parametrize("cause", CAUSES)
def test_pods_that_cannot_be_made_are_told_with_the_servers_words(cause: str) -> None:
    told = stalled(refusing(Stage.TRAIN, cause).wait(61))
    assert (told.status, told.reason) == ("True", "PodsRefused")
    assert cause in told.message


@pytest.mark.parametrize("stage", [Stage.IMPORT, Stage.PREPARE, Stage.MERGE, Stage.EVALUATE])
def test_a_run_goes_on_when_its_pods_come_after_a_day(stage: Stage) -> None:
    place = refusing(stage)
    assert stalled(place.wait(DAY)).reason == "PodsRefused"
    place.refusals.clear()
    ended = place.settle()
    assert ended.run is not None
    assert ended.run.outcome is Outcome.PROMOTED
    assert stalled(ended).status == "False"
    assert len(place.jobs(stage)) == 1


def test_a_residual_tells_the_same() -> None:
    place = refusing(Stage.EXTRACT)
    place.wait(61)
    assert (stalled(residual(place)).status, stalled(residual(place)).reason) == ("True", "PodsRefused")
    place.refusals.clear()
    place.wait(61)
    assert stalled(residual(place)).status == "False"


def test_a_job_that_is_a_moment_old_is_not_told_to_be_hindered() -> None:
    assert stalled(refusing(Stage.TRAIN).status()).status == "False"


def test_a_refusal_that_is_renewed_under_another_pods_name_is_written_once() -> None:
    place = refusing(Stage.TRAIN)
    place.wait(100)
    before = len(place.cluster.writes)
    for _ in range(20):
        place.wait(60)
    assert len(place.cluster.writes) == before


def test_a_job_without_pods_and_events_is_told_too() -> None:
    place = World()
    place.one_pass(world.RESIDUAL)
    place.one_pass(world.RESIDUAL)
    place.pass_time(61)
    place.one_pass(world.RESIDUAL)
    told = stalled(residual(place))
    assert (told.reason, "no event says why" in told.message) == ("PodsRefused", True)


def test_without_the_right_to_read_events_the_rest_is_told_and_the_pass_goes_on() -> None:
    place = refusing(Stage.TRAIN)

    def forbid(_: str, kind: Kind, __: str) -> None:
        if kind is kinds.EVENT:
            raise errors.ForbiddenError("events is forbidden")

    place.cluster.before_read = forbid
    told = stalled(place.wait(61))
    assert (told.status, "grant the operator the verb list on events" in told.message) == ("True", True)


def test_a_job_that_its_queue_holds_back_is_not_hindered() -> None:
    place = World()
    place.refusals[Stage.TRAIN] = CAUSES[0]
    place.settle()
    [job] = place.jobs(Stage.TRAIN)
    place.cluster.edit(
        kinds.JOB, lambda live: live["spec"].update(suspend=True), namespace=NAMESPACE, name=job["metadata"]["name"]
    )
    told = place.wait(61)
    ready = next(item for item in told.conditions if item.type == "Ready")
    assert (stalled(told).status, ready.reason) == ("False", "Queued")
    assert "its queue has not admitted it" in ready.message


def stuck(place: World, stage: Stage, message: str) -> None:
    """The stage's pod has a node and cannot start there."""
    place.held.add(stage)
    start = controllers.start_job
    try:
        controllers.start_job = lambda cluster, namespace, name: controllers.stick_pod(  # type: ignore[assignment]
            cluster, namespace, name, message=message
        )
        place.settle()
    finally:
        controllers.start_job = start


def test_a_pod_whose_volume_cannot_be_mounted_is_told() -> None:
    place = World()
    stuck(place, Stage.TRAIN, 'MountVolume.SetUp failed for volume "hub-token" : secret "hub" not found')
    told = stalled(place.wait(61))
    assert (told.status, told.reason) == ("True", "PodStuck")
    assert 'secret "hub" not found' in told.message


def test_the_second_node_whose_pod_cannot_be_made_is_told_while_the_first_runs() -> None:
    place = World({"spec.training.nodes": 2})
    place.cluster.edit(
        kinds.REFRESH_PROFILE, lambda it: it["spec"].update(limits={"nodes": 2, "gpusPerNode": 1}), name="default"
    )
    place.held.add(Stage.TRAIN)
    place.settle()
    [job] = place.jobs(Stage.TRAIN)
    name = job["metadata"]["name"]
    place.cluster.remove(kinds.POD, namespace=NAMESPACE, name=f"{name}-1")
    controllers.refuse_pods(place.cluster, NAMESPACE, name, message=CAUSES[0])
    place.pass_time(61)
    place.one_pass(world.REFRESH)
    told = stalled(place.status())
    assert (told.reason, "only 1 of 2 pods" in told.message) == ("PodsRefused", True)


def sweeping(place: World) -> None:
    """A rejected candidate has to go, and the sweep finds no pod."""
    place.refusals[Stage.SWEEP] = CAUSES[3]
    place.settle()
    for number in range(4):
        place.answers[Stage.PREPARE] = world.preparing(f"{number}" * 64)
        place.edit(lambda refresh, number=number: refresh["spec"]["data"].update(uri=f"pvc://corpus/{number}"))
        place.settle()


def test_a_sweep_whose_pod_cannot_be_made_is_told_and_made_anew_with_another_profile() -> None:
    place = World({"spec.retain.runs": 1, "spec.retain.versions": 1})
    sweeping(place)
    told = stalled(place.wait(61))
    assert (told.status, told.reason) == ("True", "PodsRefused")
    place.refusals.clear()
    place.held.add(Stage.SWEEP)
    place.cluster.edit(kinds.REFRESH_PROFILE, lambda it: it["spec"].update(priorityClass="high"), name="default")
    for _ in range(6):
        place.one_pass(world.REFRESH)
    [job] = place.jobs(Stage.SWEEP)
    assert job["spec"]["template"]["spec"]["priorityClassName"] == "high"


Failing = tuple[str, Kind, errors.ApiError]
REFUSED: Final[tuple[Failing, ...]] = (
    ("create", kinds.JOB, errors.ForbiddenError("create Job: 403 exceeded quota: count/jobs.batch=0")),
    ("create", kinds.JOB, errors.InvalidError("create Job: 422 metadata.labels: too long")),
    ("create", kinds.MODEL_VERSION, errors.ForbiddenError("create ModelVersion: 403 denied by policy")),
    ("apply", kinds.DEPLOYMENT, errors.InvalidError("apply Deployment: 422 admission webhook denied the request")),
    ("patch", kinds.MODEL_REFRESH, errors.ForbiddenError("patch ModelRefresh: 403 finalizers")),
)


def struggle(place: World, *, times: int) -> None:
    """Passes as the workers make them: one that fails is tried again."""
    for _ in range(times):
        for key in (world.RESIDUAL, world.REFRESH):
            try:
                place.one_pass(key)
            except errors.ApiError:
                continue
        place.play()
        place.pass_time(1)


def refuse(place: World, failing: Failing) -> None:
    """The API server refuses this kind of write from now on."""
    verb, kind, error = failing
    place.cluster.fail(verb, kind, error, times=100_000)


@pytest.mark.parametrize("failing", REFUSED, ids=lambda failing: f"{failing[0]} {failing[1].kind}")
def test_a_refused_write_stands_in_a_condition_until_it_succeeds(failing: Failing) -> None:
    place = World()
    refuse(place, failing)
    struggle(place, times=40)
    told = stalled(residual(place) if failing[1] is kinds.JOB else place.status())
    assert (told.status, told.reason) == ("True", "WriteRefused")
    assert str(failing[2]) in told.message
    place.cluster.heal()
    struggle(place, times=60)
    ended = place.settle()
    assert (ended.phase, stalled(ended).status) == ("Promoted", "False")


def test_a_write_that_stays_refused_is_told_once() -> None:
    place = World()
    place.settle()
    refuse(place, REFUSED[0])
    place.edit(lambda refresh: refresh["spec"]["data"].update(uri="pvc://corpus/other"))
    struggle(place, times=5)
    before = len(place.cluster.writes)
    struggle(place, times=50)
    assert {write.kind for write in place.cluster.writes[before:]} == set()


@pytest.mark.parametrize("error", [errors.ConflictError("409"), errors.UnavailableError("503")], ids=["409", "503"])
def test_a_write_that_came_too_late_or_found_no_server_is_no_refusal(error: errors.ApiError) -> None:
    place = World()
    place.settle()
    refuse(place, ("create", kinds.MODEL_VERSION, error))
    place.answers[Stage.PREPARE] = world.preparing("c" * 64)
    place.edit(lambda refresh: refresh["spec"]["data"].update(uri="pvc://corpus/other"))
    struggle(place, times=30)
    assert stalled(place.status()).status == "False"


def test_a_refusal_whose_write_is_no_longer_wanted_is_taken_back() -> None:
    place = World()
    place.settle()
    refuse(place, REFUSED[0])
    place.edit(lambda refresh: refresh["spec"]["data"].update(uri="pvc://corpus/other"))
    struggle(place, times=5)
    place.edit(lambda refresh: refresh["spec"].update(suspend=True))
    struggle(place, times=2)
    assert (place.status().phase, stalled(place.status()).status) == ("Suspended", "False")
