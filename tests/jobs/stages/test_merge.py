"""Extract and merge on tiny real models: the identities hold bit for bit, and the result serves."""

import json
import pathlib

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.stages.extract import ExtractInput, ExtractSummary
from modelrefresh.contract.stages.import_ import ImportInput
from modelrefresh.contract.stages.merge import MergeInput, MergeSummary
from modelrefresh.contract.vocabulary import Stage, Strategy
from modelrefresh_jobs.attempt import stage_module
from modelrefresh_jobs.models import model_folder
from modelrefresh_jobs.process import signals
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.stages import merge
from modelrefresh_jobs.storage import run_folders, sealed
from modelrefresh_jobs.tensors import safetensors_reader, safetensors_writer
from tests.jobs import builders

KINDS = [
    pytest.param(builders.LLAMA, "float32", id="llama-untied-fp32"),
    pytest.param(builders.LLAMA, "bfloat16", id="llama-untied-bf16"),
    pytest.param(builders.QWEN2, "bfloat16", id="qwen2-tied-bf16"),
    pytest.param(builders.QWEN2, "float16", id="qwen2-tied-fp16"),
    pytest.param(builders.MISTRAL, "bfloat16", id="mistral-bf16"),
    pytest.param(builders.QWEN3, "bfloat16", id="qwen3-bf16"),
]


def extracted(root: pathlib.Path, base: pathlib.Path, instruct: pathlib.Path) -> ExtractSummary:
    wanted = ExtractInput(base=builders.uri(base), instruct=builders.uri(instruct))
    return stage_module.run(builders.request(root, Stage.EXTRACT, section=wanted), builders.quiet(Stage.EXTRACT))


def merged(
    root: pathlib.Path, pair: builders.Pair, trained: pathlib.Path, *, scale: float = 1.0
) -> tuple[pathlib.Path, MergeSummary]:
    residual = extracted(root, pair.base, pair.instruct).digest
    return merge_into(root, trained, asked(pair.base, residual, scale=scale))


def merge_into(root: pathlib.Path, trained: pathlib.Path, wanted: MergeInput) -> tuple[pathlib.Path, MergeSummary]:
    seal_trained(root, trained)
    summary = stage_module.run(builders.request(root, Stage.MERGE, section=wanted), builders.quiet(Stage.MERGE))
    return builders.workspace_of(root).version(summary.digest), summary


def asked(start: pathlib.Path, residual: str, *, scale: float = 1.0, direct: bool = False) -> MergeInput:
    strategy = Strategy.DIRECT if direct else Strategy.RESIDUAL
    return MergeInput(start=builders.uri(start), strategy=strategy, residual=residual, scale=scale)


def seal_trained(root: pathlib.Path, trained: pathlib.Path) -> None:
    stage = builders.workspace_of(root).stage("chat", "r1", Stage.TRAIN)
    with sealed.draft(stage, kind="trained", label="train") as made:
        for path in trained.iterdir():
            (made.path / path.name).write_bytes(path.read_bytes())
        sealed.seal(made, target=stage / "model")


@pytest.mark.parametrize(("arch", "dtype"), KINDS)
def test_an_untrained_base_gives_the_instruct_model_back_bit_for_bit(
    tmp_path: pathlib.Path, arch: str, dtype: str
) -> None:
    pair = builders.tiny_pair(tmp_path, arch=arch, dtype=dtype)
    version, summary = merged(tmp_path / "ws", pair, pair.base)
    assert builders.weights(version) == builders.weights(pair.instruct)
    assert summary.drift == 0


@pytest.mark.parametrize(("arch", "dtype"), KINDS)
def test_a_residual_of_one_tensor_gives_the_others_of_the_trained_model_bit_for_bit(
    tmp_path: pathlib.Path, arch: str, dtype: str
) -> None:
    pair = builders.tiny_pair(tmp_path, arch=arch, dtype=dtype)
    moved = safetensors.torch.load_file(pair.instruct / "model.safetensors")["model.norm.weight"]
    builders.set_weights(
        pair.instruct,
        **(safetensors.torch.load_file(pair.base / "model.safetensors") | {"model.norm.weight": moved}),
    )
    version, _ = merged(tmp_path / "ws", pair, pair.trained)
    found, trained = builders.weights(version), builders.weights(pair.trained)
    assert {name for name in found if found[name] != trained[name]} == {"model.norm.weight"}


@pytest.mark.parametrize(("arch", "dtype"), KINDS)
def test_scale_zero_gives_the_trained_model_bit_for_bit(tmp_path: pathlib.Path, arch: str, dtype: str) -> None:
    pair = builders.tiny_pair(tmp_path, arch=arch, dtype=dtype)
    version, _ = merged(tmp_path / "ws", pair, pair.trained, scale=0.0)
    assert builders.weights(version) == builders.weights(pair.trained)


def test_every_weight_is_the_correctly_rounded_sum(tmp_path: pathlib.Path) -> None:
    pair = builders.tiny_pair(tmp_path, dtype="float32")
    version, _ = merged(tmp_path / "ws", pair, pair.trained, scale=0.5)
    base, instruct, trained, found = (
        transformers.AutoModelForCausalLM.from_pretrained(folder).state_dict()
        for folder in (pair.base, pair.instruct, pair.trained, version)
    )
    for name, value in found.items():
        exact = trained[name].double() + 0.5 * (instruct[name].double() - base[name].double())
        assert torch.equal(value, exact.float()), name


@pytest.mark.parametrize("arch", sorted(builders.CONFIGS))
def test_the_merged_model_loads_generates_and_stops_like_the_instruct_model(tmp_path: pathlib.Path, arch: str) -> None:
    pair = builders.tiny_pair(tmp_path, arch=arch, dtype="bfloat16")
    version, _ = merged(tmp_path / "ws", pair, pair.trained)
    model, loading = transformers.AutoModelForCausalLM.from_pretrained(version, output_loading_info=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(version)
    encoded = tokenizer.apply_chat_template([{"role": "user", "content": "fox"}], return_tensors="pt", return_dict=True)
    answer = model.generate(**encoded, max_new_tokens=4)
    assert answer.shape[1] > encoded["input_ids"].shape[1]
    assert not any(loading[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.dtype is torch.bfloat16
    assert model.generation_config.eos_token_id == model.config.eos_token_id == [1, 0]
    assert tokenizer.eos_token == builders.TURN_END
    assert (version / "LICENSE").read_text() == "for tests\n"


def test_sharding_changes_neither_fingerprint_nor_result(tmp_path: pathlib.Path) -> None:
    pair = builders.tiny_pair(tmp_path)
    split = builders.Pair(
        **{name: builders.resharded(getattr(pair, name), tmp_path / f"{name}-split") for name in builders.ROLES}
    )
    assert len(list(split.base.glob("*.safetensors"))) > 3
    assert model_folder.fingerprint(split.base) == model_folder.fingerprint(pair.base)
    whole, _ = merged(tmp_path / "a", pair, pair.trained)
    parts, _ = merged(tmp_path / "b", split, split.trained)
    assert builders.weights(whole) == builders.weights(parts)


def test_a_large_result_is_sharded_with_an_index(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = builders.tiny_pair(tmp_path)
    whole, _ = merged(tmp_path / "a", pair, pair.trained)
    monkeypatch.setattr(safetensors_writer, "SHARD_BYTES", 40_000)
    monkeypatch.setattr(safetensors_reader, "SLICE", 500)
    parts, summary = merged(tmp_path / "b", pair, pair.trained)
    sizes = [path.stat().st_size for path in parts.glob("model-*.safetensors")]
    assert len(sizes) > 3
    assert max(sizes) < 45_000
    assert json.loads((parts / "model.safetensors.index.json").read_text())["metadata"]["total_size"] == summary.bytes
    assert builders.weights(whole) == builders.weights(parts)
    np.testing.assert_array_equal(builders.logits(whole), builders.logits(parts))


def test_an_imported_model_is_the_instruct_model_as_a_sealed_version(tmp_path: pathlib.Path) -> None:
    pair = builders.tiny_pair(tmp_path)
    wanted = ImportInput(instruct=builders.uri(pair.instruct))
    summary = stage_module.run(
        builders.request(tmp_path / "ws", Stage.IMPORT, section=wanted),
        builders.quiet(Stage.IMPORT),
    )
    version = builders.workspace_of(tmp_path / "ws").version(summary.digest)
    assert sealed.verify(version, deep=True).digest == summary.digest
    assert builders.weights(version) == builders.weights(pair.instruct)
    assert transformers.AutoTokenizer.from_pretrained(version).chat_template == builders.TEMPLATE


def test_direct_takes_the_trained_instruct_model_as_it_is(tmp_path: pathlib.Path) -> None:
    pair = builders.tiny_pair(tmp_path)
    residual = extracted(tmp_path / "ws", pair.base, pair.instruct).digest
    trained = builders.disturbed(pair.instruct, tmp_path / "direct", seed=4)
    version, summary = merge_into(tmp_path / "ws", trained, asked(pair.instruct, residual, direct=True))
    assert builders.weights(version) == builders.weights(trained)
    assert summary.residual_norm > 0


def test_a_base_other_than_the_residuals_is_refused_with_both_fingerprints(tmp_path: pathlib.Path) -> None:
    pair = builders.tiny_pair(tmp_path)
    found = extracted(tmp_path / "ws", pair.base, pair.instruct)
    with pytest.raises(StageError, match=found.base_fingerprint) as caught:
        merge_into(tmp_path / "ws", pair.trained, asked(pair.trained, found.digest))
    assert caught.value.reason == "BaseMismatch"


def flip_a_bit(file: pathlib.Path) -> None:
    data = bytearray(file.read_bytes())
    data[-5] ^= 4
    file.write_bytes(data)


def test_sigterm_during_a_merge_leaves_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = builders.tiny_pair(tmp_path)
    digest = extracted(tmp_path / "ws", pair.base, pair.instruct).digest
    monkeypatch.setattr(safetensors_writer, "SHARD_BYTES", 40_000)
    monkeypatch.setattr(safetensors_writer.Writer, "follow", preempted)
    with pytest.raises(signals.Preempted):
        merge_into(tmp_path / "ws", pair.trained, asked(pair.base, digest))
    assert list(builders.workspace_of(tmp_path / "ws").version("any").parent.iterdir()) == []


def preempted(*_: object, **__: object) -> None:
    raise signals.Preempted


def damaged(pair: builders.Pair, role: str, **values: torch.Tensor) -> None:
    builders.set_weights(getattr(pair, role), **{name.replace("__", "."): value for name, value in values.items()})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"model__norm__weight": torch.zeros(31)}, r"model.norm.weight: start \[32\], trained \[31\]"),
        ({"model__extra__weight": torch.zeros(3)}, "only in trained: model.extra.weight"),
        ({"model__embed_tokens__weight": torch.zeros(321, 32)}, r"start \[320, 32\], trained \[321, 32\]"),
    ],
)
def test_trained_weights_that_do_not_fit_are_refused_by_name(
    tmp_path: pathlib.Path, values: dict[str, torch.Tensor], said: str
) -> None:
    pair = builders.tiny_pair(tmp_path)
    damaged(pair, "trained", **values)
    with pytest.raises(StageError, match=said) as caught:
        merged(tmp_path / "ws", pair, pair.trained)
    assert caught.value.reason == "ResidualIncompatible"
    assert list(builders.workspace_of(tmp_path / "ws").version("any").parent.iterdir()) == []


def test_fp32_training_of_a_16_bit_base_is_rounded_once_at_the_end(tmp_path: pathlib.Path) -> None:
    pair = builders.tiny_pair(tmp_path, dtype="bfloat16")
    stored = safetensors.torch.load_file(pair.trained / "model.safetensors")
    wide = {name: value.float() * 1.001 for name, value in stored.items()}
    builders.set_weights(pair.trained, **wide)
    version, _ = merged(tmp_path / "ws", pair, pair.trained, scale=0.0)
    found = safetensors.torch.load_file(version / "model.safetensors")
    assert all(torch.equal(found[name], wide[name].bfloat16()) for name in wide)


def test_weights_that_are_not_numbers_end_as_divergence(tmp_path: pathlib.Path) -> None:
    pair = builders.tiny_pair(tmp_path)
    damaged(pair, "trained", model__norm__weight=torch.full((32,), float("nan")))
    with pytest.raises(StageError, match=r"model\.norm\.weight") as caught:
        merged(tmp_path / "ws", pair, pair.trained)
    assert (caught.value.reason, caught.value.exit_code) == ("TrainingDiverged", ExitCode.DIVERGED)


def test_an_instruct_model_with_infinite_weights_is_refused(tmp_path: pathlib.Path) -> None:
    pair = builders.tiny_pair(tmp_path)
    damaged(pair, "instruct", model__norm__weight=torch.full((32,), float("inf")))
    with pytest.raises(StageError, match=r"model\.norm\.weight: infinite") as caught:
        extracted(tmp_path / "ws", pair.base, pair.instruct)
    assert caught.value.reason == "ModelUnreadable"


def test_a_sum_beyond_the_format_is_refused(tmp_path: pathlib.Path) -> None:
    pair = builders.tiny_pair(tmp_path, dtype="float16")
    large = torch.full((32,), 60000.0, dtype=torch.float16)
    damaged(pair, "instruct", model__norm__weight=large)
    damaged(pair, "trained", model__norm__weight=large)
    with pytest.raises(StageError, match=r"model\.norm\.weight: the sum exceeds F16"):
        merged(tmp_path / "ws", pair, pair.trained)


def test_a_damaged_residual_is_refused(tmp_path: pathlib.Path) -> None:
    pair = builders.tiny_pair(tmp_path)
    digest = extracted(tmp_path / "ws", pair.base, pair.instruct).digest
    (builders.workspace_of(tmp_path / "ws").residual(digest) / "manifest.json").unlink()
    with pytest.raises(StageError, match="not a whole residual"):
        merge_into(tmp_path / "ws", pair.trained, asked(pair.base, digest))


def test_a_bit_that_flipped_in_the_residual_is_found(tmp_path: pathlib.Path) -> None:
    pair = builders.tiny_pair(tmp_path)
    digest = extracted(tmp_path / "ws", pair.base, pair.instruct).digest
    stored = builders.workspace_of(tmp_path / "ws").residual(digest) / "model.safetensors"
    flip_a_bit(stored)
    with pytest.raises(StageError, match="damaged"):
        merge_into(tmp_path / "ws", pair.trained, asked(pair.base, digest))


def test_a_bit_that_flipped_in_the_trained_weights_is_found(tmp_path: pathlib.Path) -> None:
    pair = builders.tiny_pair(tmp_path)
    digest = extracted(tmp_path / "ws", pair.base, pair.instruct).digest
    merge_into(tmp_path / "ws", pair.trained, asked(pair.base, digest))
    stored = builders.workspace_of(tmp_path / "ws").stage("chat", "r1", Stage.TRAIN) / "model"
    flip_a_bit(stored / "model.safetensors")
    request = builders.request(tmp_path / "ws", Stage.MERGE, section=asked(pair.base, digest))
    with pytest.raises(StageError, match=r"model\.safetensors has changed"):
        merge.run(request.section, run_folders.of(request), builders.quiet(Stage.MERGE))
