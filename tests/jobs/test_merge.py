"""Extract and merge on tiny real models: the identities hold bit for bit, and the result serves."""

import pathlib

import pytest
import torch
import transformers

from modelrefresh.contract import env, result
from modelrefresh_jobs import extract, import_model, merge, sealed
from modelrefresh_jobs.failures import StageError
from tests.jobs import builders

KINDS = [
    pytest.param(builders.LLAMA, "float32", id="llama-untied-fp32"),
    pytest.param(builders.LLAMA, "bfloat16", id="llama-untied-bf16"),
    pytest.param(builders.QWEN2, "bfloat16", id="qwen2-tied-bf16"),
    pytest.param(builders.QWEN2, "float16", id="qwen2-tied-fp16"),
]


def extracted(root: pathlib.Path, base: pathlib.Path, instruct: pathlib.Path) -> result.ExtractSummary:
    wanted = env.ExtractInput(base=builders.uri(base), instruct=builders.uri(instruct))
    return extract.run(builders.request(root, env.Stage.EXTRACT, extract=wanted), builders.quiet(env.Stage.EXTRACT))


def merged(
    root: pathlib.Path, pair: builders.Pair, trained: pathlib.Path, *, scale: float = 1.0
) -> tuple[pathlib.Path, result.MergeSummary]:
    residual = extracted(root, pair.base, pair.instruct).digest
    return merge_into(root, trained, asked(pair.base, residual, scale=scale))


def merge_into(
    root: pathlib.Path, trained: pathlib.Path, wanted: env.MergeInput
) -> tuple[pathlib.Path, result.MergeSummary]:
    seal_trained(root, trained)
    summary = merge.run(builders.request(root, env.Stage.MERGE, merge=wanted), builders.quiet(env.Stage.MERGE))
    return builders.workspace_of(root).version(summary.digest), summary


def asked(start: pathlib.Path, residual: str, *, scale: float = 1.0, direct: bool = False) -> env.MergeInput:
    strategy = env.Strategy.DIRECT if direct else env.Strategy.RESIDUAL
    return env.MergeInput(start=builders.uri(start), strategy=strategy, residual=residual, scale=scale)


def seal_trained(root: pathlib.Path, trained: pathlib.Path) -> None:
    stage = builders.workspace_of(root).stage("chat", "r1", env.Stage.TRAIN)
    with sealed.draft(stage, kind="trained", label="train") as made:
        for path in trained.iterdir():
            (made.path / path.name).write_bytes(path.read_bytes())
        sealed.seal(made, target=stage / merge.TRAINED)


@pytest.mark.parametrize(("arch", "dtype"), KINDS)
def test_an_untrained_base_gives_the_instruct_model_back_bit_for_bit(
    tmp_path: pathlib.Path, arch: str, dtype: str
) -> None:
    pair = builders.tiny_pair(tmp_path, arch=arch, dtype=dtype)
    version, summary = merged(tmp_path / "ws", pair, pair.base)
    assert builders.weights(version) == builders.weights(pair.instruct)
    assert summary.drift == 0


@pytest.mark.parametrize(("arch", "dtype"), KINDS)
def test_an_instruct_model_equal_to_its_base_gives_the_trained_model_bit_for_bit(
    tmp_path: pathlib.Path, arch: str, dtype: str
) -> None:
    pair = builders.tiny_pair(tmp_path, arch=arch, dtype=dtype)
    version, summary = merged(
        tmp_path / "ws", builders.Pair(base=pair.base, instruct=pair.base, trained=pair.trained), pair.trained
    )
    assert builders.weights(version) == builders.weights(pair.trained)
    assert summary.residual_norm == 0


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


def test_the_merged_model_loads_generates_and_stops_like_the_instruct_model(tmp_path: pathlib.Path) -> None:
    pair = builders.tiny_pair(tmp_path, arch=builders.QWEN2, dtype="bfloat16")
    version, _ = merged(tmp_path / "ws", pair, pair.trained)
    model = transformers.AutoModelForCausalLM.from_pretrained(version)
    tokenizer = transformers.AutoTokenizer.from_pretrained(version)
    encoded = tokenizer.apply_chat_template([{"role": "user", "content": "fox"}], return_tensors="pt", return_dict=True)
    answer = model.generate(**encoded, max_new_tokens=4)
    assert answer.shape[1] > encoded["input_ids"].shape[1]
    assert model.dtype is torch.bfloat16
    assert model.generation_config.eos_token_id == [1, 0]
    assert model.config.eos_token_id == [1, 0]
    assert tokenizer.eos_token == builders.TURN_END
    assert (version / "LICENSE").read_text() == "for tests\n"


def test_an_imported_model_is_the_instruct_model_as_a_sealed_version(tmp_path: pathlib.Path) -> None:
    pair = builders.tiny_pair(tmp_path)
    wanted = env.ImportInput(instruct=builders.uri(pair.instruct))
    summary = import_model.run(
        builders.request(tmp_path / "ws", env.Stage.IMPORT, import_=wanted), builders.quiet(env.Stage.IMPORT)
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
