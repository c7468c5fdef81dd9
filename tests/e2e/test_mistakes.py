"""Mistakes that only the cluster can know: each is told as a condition with its reason, and mending it is enough."""

from collections.abc import Callable, Mapping
from typing import Final

import pytest

from tests.e2e import objects, run
from tests.e2e.place import Place
from tests.jobs import builders, corpora

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]
_NOWHERE: Final = f"{objects.SOURCES}/nowhere"
_UNBUILT: Final = "sha256:" + 64 * "0"
_RETRY_SECONDS: Final = 150
"""A cheap stage that failed is tried again after a minute."""

_BLOCKED: Final[tuple[tuple[str, object, str, str], ...]] = (
    ("spec.profile", "e2e-none", "ProfileNotFound", 'RefreshProfile "e2e-none" does not exist'),
    ("spec.training.nodes", 3, "ProfileForbids", "spec.training.nodes is 3, at most 2 is allowed"),
    ("spec.data.uri", f"hf://some/text@{40 * '0'}", "ProfileForbids", "not among the allowed sources"),
    ("spec.data.uri", "pvc://lost/corpus", "ClaimNotFound", 'PersistentVolumeClaim "lost" is not in namespace'),
    ("spec.rollout.deployment.name", "lost", "TargetNotFound", 'Deployment "lost" is not in namespace'),
    ("spec.rollout.deployment.container", "lost", "TargetNotFound", "has the containers server"),
    ("spec.residualRef.name", "lost", "ResidualNotFound", 'InstructionResidual "lost" is not in namespace'),
    ("spec.base.uri", f"{objects.SOURCES}/models/other", "BaseMismatch", "must come from the base that is trained"),
)
_FAILING: Final[tuple[tuple[str, object, str, str], ...]] = (
    ("spec.data.uri", _NOWHERE, "DataUnreadable", "nowhere does not exist"),
    ("spec.data.uri", f"{objects.SOURCES}/empty", "NoData", "0 documents read"),
    (
        "spec.evaluation.suites[0].uri",
        f"{objects.SOURCES}/evals/blank.jsonl",
        "EvaluationUnreadable",
        "expected at least one item",
    ),
)


@pytest.fixture(scope="module")
def place(new_place: Callable[[str], Place], pair: builders.Pair, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The images cannot be pulled yet; one residual is of two models that are no pair, one of a path that is empty."""
    made = new_place("mistakes")
    foreign = builders.tiny_model(tmp_path_factory.mktemp("foreign") / "model", arch=builders.QWEN2)
    made.bring(foreign, "models/foreign")
    (made.folder / "empty").mkdir()
    (made.folder / "evals").mkdir()
    (made.folder / "evals" / "blank.jsonl").write_text("\n")
    made.furnish(pair, {"spec.image": _unbuilt(made.images.jobs)})
    return made


@pytest.fixture(scope="module")
def pulled(place: Place) -> Place:
    """The image can be pulled; import and prepare may take only so much memory, which is too little."""
    too_little = {"limits": {"memory": "40Mi"}, "timeoutSeconds": 300}
    place.apply(objects.profile(place.namespace, place.images.jobs, {"spec.stages": {"prepare": too_little}}))
    place.wait(lambda: run.stored(place), "the residual to be stored")
    return place


@pytest.fixture(scope="module")
def mended(pulled: Place) -> Place:
    """The profile gives enough memory."""
    pulled.apply(objects.profile(pulled.namespace, pulled.images.jobs))
    return pulled


def _unbuilt(image: str) -> str:
    return f"{image.partition('@')[0]}@{_UNBUILT}"


def _refresh(place: Place, edits: Mapping[str, object] | None = None) -> None:
    """Apply the refresh with mistakes, or without any; it never gets as far as training."""
    place.apply(objects.refresh(place.namespace, edits))


def _residual(place: Place, name: str, **uris: str) -> None:
    edits = {f"spec.{role}.uri": f"{objects.SOURCES}/models/{path}" for role, path in uris.items()}
    place.apply(objects.residual(place.namespace, edits, name=name))


def _residual_reads(place: Place, name: str, reason: str) -> bool:
    status = place.get("instructionresiduals", name).get("status", {})
    return run.condition(status, "Ready").get("reason") == reason


def _assert_told(place: Place, reason: str, words: str) -> None:
    place.wait(lambda: run.reads(place, reason, kind="Stalled"), f"Stalled for {reason}")
    stalled = run.condition(place.status(), "Stalled")
    assert stalled["status"] == "True"
    assert words in stalled["message"], stalled


def _assert_failed(place: Place, reason: str, words: str) -> None:
    place.wait(lambda: _failed(place, reason), f"a run that failed for {reason}")
    stalled = run.condition(place.status(), "Stalled")
    assert stalled["status"] == "True"
    assert words in stalled["message"], stalled


def _failed(place: Place, reason: str) -> bool:
    ended = place.status().get("run", {})
    return ended.get("outcome") == "Failed" and ended.get("reason") == reason and run.reads(place, "Failed")


def _prepared(place: Place) -> bool:
    ran = place.status().get("run", {})
    return any(stage["name"] == "prepare" and stage["state"] == "Succeeded" for stage in ran.get("stages", ()))


@pytest.mark.parametrize(("field", "value", "reason", "words"), _BLOCKED)
def test_what_is_missing_is_told_before_anything_runs(
    place: Place, field: str, value: object, reason: str, words: str
) -> None:
    _refresh(place, {field: value})
    _assert_told(place, reason, words)


def test_a_stock_model_is_waited_for_with_its_reason(place: Place) -> None:
    _refresh(place)
    place.wait(lambda: run.reads(place, "ResidualNotReady"), "the wait for the residual")
    assert f'waiting for InstructionResidual "{objects.RESIDUAL}"' in run.condition(place.status(), "Ready")["message"]


def test_an_image_that_cannot_be_pulled_is_told(place: Place) -> None:
    place.wait(lambda: _residual_reads(place, objects.RESIDUAL, "ImagePullFailed"), "the missing image to be told")
    status = place.get("instructionresiduals", objects.RESIDUAL)["status"]
    assert run.condition(status, "Stalled")["status"] == "True"


def test_a_mended_image_is_pulled_without_further_ado(pulled: Place) -> None:
    extract = pulled.get("instructionresiduals", objects.RESIDUAL)["status"]["extract"]
    assert (extract["state"], extract["failures"]) == ("Succeeded", 0)


def test_too_little_memory_is_told_as_such(pulled: Place) -> None:
    _assert_failed(pulled, "OutOfMemory", "raise the stage's limit in the profile")


def test_a_mended_profile_opens_a_run_by_itself(mended: Place) -> None:
    mended.wait(lambda: _prepared(mended), "prepare to succeed")
    assert mended.status()["run"]["trigger"]["kind"] == "Mended"


def test_two_models_that_are_no_pair_make_no_residual(mended: Place) -> None:
    _residual(mended, "no-pair", instruct="foreign")
    mended.wait(lambda: _residual_reads(mended, "no-pair", "ResidualIncompatible"), "the misfit to be told")
    message = run.condition(mended.get("instructionresiduals", "no-pair")["status"], "Stalled")["message"]
    assert "do not fit" in message


def test_a_model_that_is_not_there_is_told(mended: Place) -> None:
    _residual(mended, "late", instruct="late")
    mended.wait(lambda: _residual_reads(mended, "late", "ModelUnreadable"), "the missing model to be told")
    message = run.condition(mended.get("instructionresiduals", "late")["status"], "Stalled")["message"]
    mended.bring(mended.folder / "models" / "instruct", "models/late")
    assert "late does not exist" in message


@pytest.mark.parametrize(("field", "value", "reason", "words"), _FAILING)
def test_what_intake_cannot_use_is_told(mended: Place, field: str, value: object, reason: str, words: str) -> None:
    _refresh(mended, {field: value})
    _assert_failed(mended, reason, words)


def test_a_changed_spec_opens_a_run_at_once_after_a_failure(mended: Place) -> None:
    corpora.texts(mended.folder / "other" / "a.jsonl", corpora.sentences(20, seed=9))
    broken = mended.folder / "other" / "b.jsonl"
    broken.write_text('{"text": "cut in the mid')
    _refresh(mended, {"spec.data.uri": f"{objects.SOURCES}/other"})
    _assert_failed(mended, "DataUnreadable", "b.jsonl:1: not JSON")


def test_a_mended_file_is_found_without_being_told(mended: Place) -> None:
    corpora.texts(mended.folder / "other" / "b.jsonl", corpora.sentences(20, seed=10))
    mended.wait(lambda: _prepared(mended), "prepare to succeed", seconds=_RETRY_SECONDS)
    assert mended.status()["run"]["trigger"]["kind"] == "Mended"


def test_a_mended_model_is_found_without_being_told(mended: Place) -> None:
    mended.wait(lambda: run.stored(mended, "late"), "the residual to be stored", seconds=_RETRY_SECONDS)
    assert mended.get("instructionresiduals", "late")["status"]["extract"]["attempt"] > 1
