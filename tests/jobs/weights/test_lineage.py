"""Models that are not what they are called are refused where that is certain, and said where it is likely."""

import json
import logging
import pathlib
import shutil

import pytest
import safetensors.torch
import torch

from modelrefresh.contract import artifacts, result
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.stages.extract import ExtractInput
from modelrefresh.contract.stages.merge import MergeSummary
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method, Stage, Strategy
from modelrefresh_jobs.attempt import in_pod
from modelrefresh_jobs.models import model_folder
from modelrefresh_jobs.process import progress
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.stages import extract
from modelrefresh_jobs.storage import run_folders, sealed
from modelrefresh_jobs.weights import candidate, stored_residual
from modelrefresh_jobs.weights.merge_sources import MergeSources
from tests.jobs import builders, corpora


@pytest.fixture
def pair(tmp_path: pathlib.Path) -> builders.Pair:
    return builders.tiny_pair(tmp_path)


def extracted(base: pathlib.Path, instruct: pathlib.Path, out: pathlib.Path) -> list[str]:
    said = Progress(stage="extract")
    with sealed.draft(out.parent, kind=stored_residual.KIND, label=out.name) as made:
        extract.store(model_folder.accept(base), model_folder.accept(instruct), made, progress=said, target=out)
    return said.warnings


def merged(
    pair: builders.Pair, trained: pathlib.Path, *, direct: bool = False, scale: float = 1.0
) -> tuple[MergeSummary, list[str]]:
    """Summary and warnings; the candidate lies in `merged` beside the pair."""
    root = pair.base.parent
    if not (root / "residual").is_dir():
        extracted(pair.base, pair.instruct, root / "residual")
    said, strategy = (
        Progress(stage="merge"),
        Strategy.DIRECT if direct else Strategy.RESIDUAL,
    )
    given = MergeSources(
        start=pair.instruct if direct else pair.base,
        trained=trained,
        residual=root / "residual",
        strategy=strategy,
        scale=scale,
    )
    with sealed.draft(root, kind=candidate.KIND, label="merged") as made:
        return candidate.store(given, made, progress=said, target=root / "merged"), said.warnings


def sealed_from(trained: pathlib.Path, start: pathlib.Path) -> pathlib.Path:
    """The trained weights as the train stage seals them."""
    target = trained.with_name("sealed")
    with sealed.draft(
        target.parent, kind="trained", label="t", parents={sealed.START: model_folder.fingerprint(start)}
    ) as made:
        shutil.copytree(trained, made.path, dirs_exist_ok=True)
        sealed.seal(made, target=target)
    return target


def between(pair: builders.Pair, *, along: float, off: float) -> pathlib.Path:
    """Weights from the base a part of the way to the instruct model, and `off` residuals aside of it."""
    target = pathlib.Path(shutil.copytree(pair.trained, pair.base.parent / "between"))
    base, instruct, trained = (
        safetensors.torch.load_file(folder / "model.safetensors") for folder in (pair.base, pair.instruct, pair.trained)
    )
    moved = {
        name: start + along * (instruct[name] - start) + off * (trained[name] - start) for name, start in base.items()
    }
    safetensors.torch.save_file(moved, target / "model.safetensors", metadata={"format": "pt"})
    return target


# Base and instruct.


def test_a_pair_as_it_should_be_is_extracted_without_a_warning(pair: builders.Pair, tmp_path: pathlib.Path) -> None:
    assert extracted(pair.base, pair.instruct, tmp_path / "out") == []


def test_swapped_models_are_refused_by_the_chat_template(pair: builders.Pair, tmp_path: pathlib.Path) -> None:
    with pytest.raises(StageError, match="the base has a chat template and the instruct model has none") as caught:
        extracted(pair.instruct, pair.base, tmp_path / "out")
    assert caught.value.reason == "ResidualIncompatible"
    assert not (tmp_path / "out").exists()


def test_two_models_without_a_template_are_told_to_be_alike(pair: builders.Pair, tmp_path: pathlib.Path) -> None:
    (said,) = extracted(pair.base, pair.trained, tmp_path / "out")
    assert said.startswith("neither model has a chat template")


def test_two_models_with_templates_are_told_apart_by_their_stop_tokens(
    pair: builders.Pair, tmp_path: pathlib.Path
) -> None:
    builders.make_instruct(pair.base)
    (said,) = extracted(pair.base, pair.instruct, tmp_path / "same")
    assert said.startswith("same stop tokens")

    builders.edit_json(pair.base / "generation_config.json", eos_token_id=0)
    assert extracted(pair.base, pair.instruct, tmp_path / "right") == []
    (said,) = extracted(pair.instruct, pair.base, tmp_path / "swapped")
    assert "only the base stops at [1]: are they swapped?" in said


@pytest.mark.parametrize(
    ("base", "instruct"),
    [("float32", "float32"), ("float32", "bfloat16"), ("bfloat16", "float32"), ("float32", "float16")],
)
def test_one_model_in_two_formats_is_no_pair(tmp_path: pathlib.Path, base: str, instruct: str) -> None:
    first = builders.tiny_model(tmp_path / "base", dtype="bfloat16" if base == "bfloat16" else "float32")
    second = pathlib.Path(shutil.copytree(first, tmp_path / "instruct"))
    builders.make_instruct(second)
    stored = safetensors.torch.load_file(first / "model.safetensors")
    builders.set_weights(second, **{name: value.to(getattr(torch, instruct)) for name, value in stored.items()})
    with pytest.raises(
        StageError, match="base and instruct are the same weights, relative norm of the residual"
    ) as caught:
        extracted(first, second, tmp_path / "out")
    assert caught.value.reason == "ResidualIncompatible"


@pytest.mark.parametrize("size", [1.0, 0.1, 10.0])
def test_two_models_that_have_nothing_in_common_are_extracted_with_a_warning(
    pair: builders.Pair, tmp_path: pathlib.Path, size: float
) -> None:
    other = safetensors.torch.load_file(builders.tiny_model(tmp_path / "other", seed=8) / "model.safetensors")
    builders.set_weights(pair.instruct, **{name: size * value for name, value in other.items()})
    (said,) = extracted(pair.base, pair.instruct, tmp_path / "out")
    assert said.startswith("base and instruct model have little in common; no tuning")


# Start and trained.


def test_training_from_the_base_is_merged_without_a_warning(pair: builders.Pair) -> None:
    summary, said = merged(pair, sealed_from(pair.trained, pair.base))
    assert said == []
    assert abs(summary.alignment) < 0.1


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_a_trained_folder_that_is_the_start_is_merged_with_a_warning(pair: builders.Pair, scale: float) -> None:
    summary, warnings = merged(pair, pair.base, scale=scale)
    assert summary.drift == 0
    assert ["nothing was trained" in warning for warning in warnings] == [True]


def test_the_seal_of_the_trained_weights_decides_before_any_weight_is_read(pair: builders.Pair) -> None:
    base, instruct = model_folder.fingerprint(pair.base), model_folder.fingerprint(pair.instruct)
    with pytest.raises(
        StageError, match=f"began at the instruct model, fingerprint {instruct}; expected the base, {base}"
    ) as caught:
        merged(pair, sealed_from(pair.trained, pair.instruct))
    assert caught.value.reason == "BaseMismatch"


def test_direct_wants_the_instruct_model_as_start(pair: builders.Pair) -> None:
    with pytest.raises(StageError, match=r"began at the base, .* take strategy Residual"):
        merged(pair, sealed_from(pair.trained, pair.base), direct=True)


def test_training_from_a_third_model_is_refused_with_both_fingerprints(
    pair: builders.Pair, tmp_path: pathlib.Path
) -> None:
    third = builders.tiny_model(tmp_path / "third", seed=9)
    saw, wanted = (model_folder.fingerprint(one) for one in (third, pair.base))
    expected = f"began at another model, fingerprint {saw}; .* {wanted}"
    with pytest.raises(StageError, match=expected):
        merged(pair, sealed_from(pair.trained, third))


def test_a_seal_that_its_folder_no_longer_fits_says_nothing(pair: builders.Pair) -> None:
    folder = sealed_from(pair.trained, pair.instruct)
    (folder / "LICENSE").write_text("changed since it was sealed\n")
    assert merged(pair, folder)[1] == []


@pytest.mark.parametrize(("along", "off"), [(1.0, 0.0), (1.0, 0.3), (0.8, 0.2), (1.2, 0.4)])
def test_training_from_the_instruct_model_is_refused_by_its_figures(
    pair: builders.Pair, along: float, off: float
) -> None:
    with pytest.raises(StageError, match=r"hold the residual already, .* \(0\.\d\d residuals from it") as caught:
        merged(pair, between(pair, along=along, off=off))
    assert caught.value.reason == "BaseMismatch"
    assert not (pair.base.parent / "merged").exists()


def test_weights_whose_seal_proves_their_start_are_never_refused_by_figures(pair: builders.Pair) -> None:
    (said,) = merged(pair, sealed_from(between(pair, along=1.0, off=0.1), pair.base))[1]
    assert said.startswith("training moved towards the instruct model (0.1")


@pytest.mark.parametrize(("along", "off"), [(1.0, 1.0), (0.4, 0.1), (2.0, 1.0)])
def test_training_along_the_residual_is_merged_with_a_warning(pair: builders.Pair, along: float, off: float) -> None:
    (said,) = merged(pair, between(pair, along=along, off=off))[1]
    assert said.startswith("training moved towards the instruct model")


@pytest.mark.parametrize(("along", "off"), [(0.0, 3.0), (0.2, 1.0), (-1.0, 0.2)])
def test_training_aside_of_the_residual_gives_no_warning(pair: builders.Pair, along: float, off: float) -> None:
    assert merged(pair, between(pair, along=along, off=off))[1] == []


def test_direct_refuses_weights_that_are_nearly_the_base(pair: builders.Pair) -> None:
    with pytest.raises(StageError, match=r"lack the residual, they are close to the base \(0\.20"):
        merged(pair, between(pair, along=0.0, off=0.2), direct=True)


def test_direct_tells_alignment_along_the_way_from_base_to_instruct(pair: builders.Pair) -> None:
    summary, _ = merged(pair, between(pair, along=0.6, off=0.0), direct=True)
    assert summary.alignment == pytest.approx(-1, abs=1e-6)
    assert summary.drift == pytest.approx(0.4 * summary.residual_norm, rel=1e-5)


@pytest.mark.parametrize("scale", [0.0, -1.0])
def test_what_is_not_added_cannot_be_added_twice(pair: builders.Pair, scale: float) -> None:
    summary, said = merged(pair, pair.instruct, scale=scale)
    assert said == []
    assert summary.alignment == pytest.approx(1, abs=1e-9)


def test_a_direct_version_has_no_scale(pair: builders.Pair) -> None:
    merged(pair, between(pair, along=1.0, off=1.0), direct=True, scale=3.0)
    provenance = json.loads((pair.base.parent / "merged" / artifacts.PROVENANCE).read_text())
    assert provenance["strategy"] == "Direct"
    assert "scale" not in provenance


# Both ways to people.


def test_a_warning_is_in_the_result_and_in_the_log(
    pair: builders.Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "serve", lambda *_, **__: None)
    wanted = ExtractInput(base=builders.uri(pair.base), instruct=builders.uri(pair.trained))
    with caplog.at_level(logging.WARNING):
        ended = in_pod.attempt(builders.request(pair.base.parent / "ws", Stage.EXTRACT, section=wanted))
    (said,) = result.parse(result.render_short(ended)).warnings
    assert ended.exit_code is ExitCode.OK
    assert said in caplog.text


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("method", list(Method))
def test_the_train_stage_seals_the_fingerprint_of_its_start(tmp_path: pathlib.Path, method: Method) -> None:
    from modelrefresh_jobs.training import trainer  # noqa: PLC0415 -- torch and the Trainer, for this one

    base = builders.tiny_model(tmp_path / "base")
    corpora.prepared(tmp_path, base)
    wanted = TrainInput(
        start=builders.uri(base), method=method, learning_rate=1e-3, sequence_length=32, epochs=0.1, lora_rank=4
    )
    request = builders.request(tmp_path, Stage.TRAIN, section=wanted)
    summary = trainer.train(request.section, run_folders.of(request), builders.quiet(Stage.TRAIN), stop=lambda: False)
    manifest = sealed.read(run_folders.of(request).trained)
    assert manifest.parents[sealed.START] == model_folder.fingerprint(base) == summary.start_fingerprint
