"""Results, Jobs and pods that are not what they say: none of them promotes, none of them stops a pass or a deletion."""

import dataclasses
import json
import pathlib
import random
from typing import Any

import pytest

from modelrefresh import errors
from modelrefresh.api import names
from modelrefresh.api.status.run import Outcome
from modelrefresh.contract import codec, result, stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.stages.evaluate import EvaluateInput, EvaluateSummary, Score, SuiteInput
from modelrefresh.contract.vocabulary import Stage, Task
from modelrefresh.kube import kinds
from modelrefresh_jobs.attempt import in_pod, record
from modelrefresh_jobs.process import progress
from modelrefresh_jobs.storage import sealed
from tests.attacks.catalogue import attack
from tests.fakes import controllers
from tests.reconcile import world
from tests.reconcile.world import NAMESPACE, World

EDITOR = "whoever may create Jobs and pods"
CLAIM = "a pod with nothing but the workspace claim"
STAGE = "a stage that was taken over"
_EVIL = "aaaaaaaa$(DATABASE_PASSWORD)/../../models/evil"


def evaluating() -> World:
    """A run whose candidate is bad, and whose evaluation is at work."""
    place = World()
    place.settle()
    place.answers[Stage.EVALUATE] = world.scoring(-0.5)
    place.held.add(Stage.EVALUATE)
    place.edit(
        lambda refresh: refresh["metadata"].setdefault("annotations", {}).update({names.ANNOTATION_REFRESH: "2"})
    )
    place.answers[Stage.PREPARE] = world.preparing("d" * 64)
    for _ in range(40):
        place.one_pass(world.REFRESH)
        place.play()
        place.pass_time(20)
        if [job for job in place.jobs(Stage.EVALUATE) if not job.get("status", {}).get("conditions")]:
            return place
    raise AssertionError(place.status())


def praise(job: dict[str, Any]) -> result.Result:
    """What a good candidate's evaluation would have said."""
    return world.scoring(0.4)(world.request_of(job))


@attack(
    24,
    does="a finished Job with labels of evaluate/1 and a good result",
    by=EDITOR,
    ends="contained: not controlled by the refresh, or of another name",
)
@pytest.mark.parametrize("owned", [False, True])
def test_a_job_that_only_wears_labels_decides_nothing(*, owned: bool) -> None:
    place = evaluating()
    before = place.served()
    [real] = [job for job in place.jobs(Stage.EVALUATE) if not job.get("status", {}).get("conditions")]
    metadata = {"name": "a-forged", "namespace": NAMESPACE, "labels": dict(real["metadata"]["labels"])}
    if owned:
        metadata["ownerReferences"] = real["metadata"]["ownerReferences"]
    place.cluster.add(kinds.JOB, {"metadata": metadata, "spec": real["spec"], "status": {}})
    controllers.finish_job(place.cluster, NAMESPACE, "a-forged", message=result.render_short(praise(real)))
    place.held.clear()
    status = place.settle()
    assert status.run is not None
    assert (status.run.outcome, place.served()) == (Outcome.REJECTED, before)


@attack(
    27,
    does="a good result from another pod, without this Job's nonce or with a guess",
    by=CLAIM,
    ends="refused: no result; the attempt is repeated",
)
@pytest.mark.parametrize("nonce", [None, "", "0" * 32, "ü" * 32])
def test_a_result_without_the_nonce_of_its_job_is_none(nonce: str | None) -> None:
    place = evaluating()
    before = place.served()
    [real] = [job for job in place.jobs(Stage.EVALUATE) if not job.get("status", {}).get("conditions")]
    forged = dataclasses.replace(praise(real), nonce=nonce)
    text = result.render_short(forged).encode(errors="replace").decode()
    controllers.finish_job(place.cluster, NAMESPACE, real["metadata"]["name"], message=text)
    place.one_pass(world.REFRESH)
    assert place.served() == before
    stage = place.status().run.record(Stage.EVALUATE)  # type: ignore[union-attr]  # the run is open
    assert stage is not None
    assert "without the nonce of its Job" in stage.message


@attack(27, does="the nonce of an earlier attempt", by=STAGE, ends="refused: each Job has its own")
def test_every_job_has_a_nonce_of_its_own() -> None:
    place = World()
    place.settle()
    nonces = [world.nonce_of(job) for job in place.jobs()]
    assert len(set(nonces)) == len(nonces) > 1
    assert all(len(nonce) == 32 for nonce in nonces)


@attack(
    25,
    does="a Job under the operator's next name",
    by=EDITOR,
    ends="contained: WriteRefused names it; it is left alone",
)
def test_a_stranger_under_our_next_name_is_told_and_left_alone() -> None:
    place = World()
    place.hold_at(Stage.IMPORT, passes=8)
    [real] = place.jobs(Stage.IMPORT)
    stranger = {"metadata": {"name": real["metadata"]["name"], "namespace": NAMESPACE}, "spec": {"template": {}}}
    place.cluster.remove(kinds.JOB, namespace=NAMESPACE, name=real["metadata"]["name"])
    for pod in place.cluster.all(kinds.POD, namespace=NAMESPACE):
        place.cluster.remove(kinds.POD, namespace=NAMESPACE, name=pod["metadata"]["name"])
    place.cluster.add(kinds.JOB, stranger)
    place.pass_time(20)
    with pytest.raises(errors.InvalidError, match="belongs to somebody else"):
        place.one_pass(world.REFRESH)
    kept = place.cluster.peek(kinds.JOB, namespace=NAMESPACE, name=real["metadata"]["name"])
    assert kept is not None
    assert kept["metadata"].get("ownerReferences") is None


@attack(
    26,
    does="an own pod with a stage's labels, with and without a made-up owner",
    by=EDITOR,
    ends="contained: neither a run nor a deletion waits for it",
)
@pytest.mark.parametrize("owners", [[], [{"kind": "Job", "name": "mine", "uid": "x", "controller": True}]])
def test_a_pod_that_only_wears_labels_holds_nothing_up(owners: list[dict[str, Any]]) -> None:
    place = World()
    status = place.settle()
    assert status.run is not None
    job = place.jobs(Stage.TRAIN)[0]
    metadata = {"name": "zzz", "namespace": NAMESPACE, "labels": job["metadata"]["labels"], "ownerReferences": owners}
    place.cluster.add(kinds.POD, {"metadata": metadata, "spec": {}, "status": {"phase": "Running"}})
    place.edit(
        lambda refresh: refresh["metadata"].setdefault("annotations", {}).update({names.ANNOTATION_REFRESH: "2"})
    )
    place.answers[Stage.PREPARE] = world.preparing("d" * 64)
    after = place.settle()
    assert after.run is not None
    assert (after.run.id == status.run.id, after.run.outcome) == (False, Outcome.PROMOTED)
    place.cluster.remove(kinds.MODEL_REFRESH, namespace=NAMESPACE, name="news")
    for _ in range(6):
        place.survive(world.REFRESH)
        for left in place.jobs():
            if "deletionTimestamp" in left["metadata"]:
                place.cluster.remove(kinds.JOB, namespace=NAMESPACE, name=left["metadata"]["name"])
    assert place.cluster.peek(kinds.MODEL_REFRESH, namespace=NAMESPACE, name="news") is None


_FORMS = [
    (Stage.IMPORT, {"digest": _EVIL}),
    (Stage.IMPORT, {"digest": ""}),
    (Stage.IMPORT, {"digest": "A" * 64}),
    (Stage.MERGE, {"digest": _EVIL}),
    (Stage.MERGE, {"digest": "a" * 63}),
    (Stage.MERGE, {"digest": "a" * 64 + "\n"}),
    (Stage.MERGE, {"drift": 1e999}),
    (Stage.PREPARE, {"newest": "yesterday"}),
    (Stage.PREPARE, {"newest": "2026-13-45"}),
    (Stage.PREPARE, {"newest": "2026-02-30T99:99"}),
    (Stage.PREPARE, {"fingerprint": "../x"}),
    (Stage.PREPARE, {"documents": -1}),
    (Stage.PREPARE, {"tokens": 2**80}),
    (Stage.TRAIN, {"start_fingerprint": "$(X)"}),
]


@attack(
    29,
    does="digests, dates and counts that are none",
    by=STAGE,
    ends="refused: no result; nothing of it reaches a name, a path or a metric",
)
@pytest.mark.parametrize(("stage", "changes"), _FORMS)
def test_a_value_of_the_wrong_form_is_no_result(stage: Stage, changes: dict[str, Any]) -> None:
    place = World()
    honest = place.answers[stage]

    def lie(request: stage_request.StageRequest) -> result.Result:
        said = honest(request)
        return dataclasses.replace(said, summary=dataclasses.replace(said.summary, **changes))

    place.answers[stage] = lie
    status = place.settle(limit=300)
    assert status.live is None or stage is not Stage.IMPORT
    assert "evil" not in str(place.cluster.all(kinds.DEPLOYMENT))
    assert status.last_failure is not None
    assert (status.last_failure.stage, status.last_failure.reason) == (stage, "InternalError")


def _mutated(document: Any, chance: random.Random) -> Any:  # noqa: ANN401 -- JSON
    odd = [None, True, -1, 2**70, 1e308, "", "x" * 5000, "\u202e\x1b[2J", [], {}, [[]], "9" * 64, float("inf")]
    if isinstance(document, dict) and document and chance.random() < 0.8:
        key = chance.choice(sorted(document))
        return document | {key: _mutated(document[key], chance)}
    return chance.choice(odd)


@attack(
    29,
    does="600 results with one value exchanged at random",
    by=STAGE,
    ends="contained: passes go on, the status is written, the object can be deleted",
)
@pytest.mark.parametrize("seed", range(20))
def test_no_result_makes_a_pass_raise_or_an_object_stay(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 -- repeatable on purpose
    place = World()
    stage = chance.choice([Stage.IMPORT, Stage.PREPARE, Stage.TRAIN, Stage.MERGE, Stage.EVALUATE])
    place.hold_at(stage, passes=60)
    [job] = [one for one in place.jobs(stage) if not one.get("status", {}).get("conditions")]
    said = dataclasses.replace(place.answers[stage](world.request_of(job)), nonce=world.nonce_of(job))
    document = codec.to_document(said)
    for _ in range(30):
        text = json.dumps(_mutated(document, chance))[: result.TERMINATION_LIMIT]
        name = job["metadata"]["name"]
        controllers.finish_job(place.cluster, NAMESPACE, name, exit_code=chance.choice([0, 0, 1, 2]), message=text)
        place.one_pass(world.REFRESH)
        assert place.status().conditions
    place.cluster.remove(kinds.MODEL_REFRESH, namespace=NAMESPACE, name="news")
    place.one_pass(world.REFRESH)
    left = place.cluster.peek(kinds.MODEL_REFRESH, namespace=NAMESPACE, name="news")
    assert left is None or place.jobs()


@attack(
    29,
    does="a status with odd values, left by an operator before this release",
    by="nobody: history",
    ends="contained: read, and the object can be deleted",
)
def test_an_odd_status_of_before_does_not_keep_an_object() -> None:
    place = World()
    place.settle()

    def spoil(refresh: dict[str, Any]) -> None:
        prepared = next(one for one in refresh["status"]["run"]["stages"] if one["name"] == "prepare")
        prepared["prepare"] |= {"newest": "yesterday", "fingerprint": "../x"}
        refresh["status"]["freshness"] = "yesterday"

    place.edit(spoil)
    place.one_pass(world.REFRESH)
    assert place.status().live is not None


@attack(
    27,
    does="evaluate told that it has finished before",
    by=CLAIM,
    ends="contained: evaluate reads no result from the workspace",
)
def test_an_evaluation_that_lies_on_the_workspace_is_not_believed(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "serve", lambda *_, **__: None)
    asked = EvaluateInput(
        candidate="a" * 64,
        suites=(SuiteInput(name="s", uri="pvc://e/s.jsonl", task=Task.QUESTION_ANSWERING),),
    )
    request = stage_request.StageRequest(
        stage=Stage.EVALUATE, owner="chat", run="r1", workspace=str(tmp_path), sources=str(tmp_path), section=asked
    )
    score = Score(suite="s", metric="exact_match", items=10, candidate=0.999)
    planted = result.Result(
        stage=Stage.EVALUATE, run="r1", attempt=1, exit_code=ExitCode.OK,
        summary=EvaluateSummary(candidate="a" * 64, scores=(score,)),
    )  # fmt: skip
    record.write(request, planted)
    folder = tmp_path / "runs" / "chat" / "r1" / "evaluate"
    with sealed.draft(folder, kind="records", label="records") as made:
        sealed.seal(made, target=folder / "records")
    ended = in_pod.attempt(request)
    assert (ended.exit_code, ended.summary) == (ExitCode.BAD_INPUT, None)


@attack(
    24,
    does="a Job that an operator before this release made, under its old name and without a nonce",
    by="nobody: history",
    ends="is taken as it was, and not made a second time",
)
def test_a_job_of_before_is_gone_on_with() -> None:
    place = World()
    place.hold_at(Stage.TRAIN, passes=40)
    [job] = place.live_jobs()
    labels = job["metadata"]["labels"]
    old = names.job_name(owner="news", uid=None, run=labels[names.LABEL_RUN], stage="train", attempt=1)
    variables = job["spec"]["template"]["spec"]["containers"][0]["env"]
    kept = [one for one in variables if one["name"] != stage_request.NONCE_VARIABLE]
    place.cluster.remove(kinds.JOB, namespace=NAMESPACE, name=job["metadata"]["name"])
    job["spec"]["template"]["spec"]["containers"][0]["env"] = kept
    metadata = {key: value for key, value in job["metadata"].items() if key not in ("uid", "resourceVersion")}
    place.cluster.add(kinds.JOB, {**job, "metadata": metadata | {"name": old}, "status": {}})
    said = result.render_short(place.answers[Stage.TRAIN](world.request_of(job)))
    controllers.finish_job(place.cluster, NAMESPACE, old, message=said)
    place.held.clear()
    status = place.settle()
    assert status.run is not None
    trained = [one["metadata"]["name"] for one in place.jobs(Stage.TRAIN)]
    assert (status.run.outcome, trained) == (Outcome.PROMOTED, [old])


@attack(
    27,
    does="the words of a failed attempt, cut or not, looked through for its nonce",
    by="whoever may read a ModelRefresh",
    ends="contained: it is in no status and no event",
)
@pytest.mark.parametrize("cut", [0, 40])
def test_the_nonce_reaches_no_status_and_no_event(cut: int) -> None:
    place = evaluating()
    [real] = [job for job in place.jobs(Stage.EVALUATE) if not job.get("status", {}).get("conditions")]
    nonce, asked = world.nonce_of(real), world.request_of(real)
    said = world.failing(ExitCode.OUT_OF_MEMORY, "OutOfMemory", "memory did not suffice")(asked)
    text = result.render_short(dataclasses.replace(said, nonce=nonce))
    text = text[: len(text) - cut]
    controllers.finish_job(place.cluster, NAMESPACE, real["metadata"]["name"], exit_code=11, message=text)
    place.one_pass(world.REFRESH)
    failure = place.status().last_failure
    assert failure is not None
    seen = [place.cluster.all(kind) for kind in (kinds.MODEL_REFRESH, kinds.EVENT, kinds.MODEL_VERSION)]
    assert nonce not in str(seen)


@attack(
    29,
    does="an image of another release that cannot read what is asked",
    by="an upgrade half done",
    ends="contained: the run waits and loses nothing",
)
def test_a_stage_that_cannot_read_its_request_is_waited_for() -> None:
    place = World()
    honest = place.answers[Stage.TRAIN]

    def misunderstood(_: stage_request.StageRequest) -> result.Result:
        return result.Result(
            stage=Stage.TRAIN,
            run="",
            attempt=0,
            exit_code=ExitCode.BAD_INPUT,
            reason="InputInvalid",
            message="unknown key",
        )

    place.answers[Stage.TRAIN] = misunderstood
    status = place.settle()
    assert status.run is not None
    stage = status.run.record(Stage.TRAIN)
    assert stage is not None
    assert (status.run.outcome, stage.state.value, stage.reason) == (None, "Waiting", "InputInvalid")
    assert stage.message.endswith("unknown key")
    place.answers[Stage.TRAIN] = honest
    place.cluster.edit(kinds.REFRESH_PROFILE, lambda one: one["spec"].update(queue="other"), name="default")
    assert place.wait(4000).phase == "Promoted"
