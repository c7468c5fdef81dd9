"""LoRA adapters are folded as peft folds them, and refused where peft would do something else."""

import pathlib
import shutil
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from modelrefresh_jobs.models import model_folder
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import model_files
from modelrefresh_jobs.tensors import dtypes
from modelrefresh_jobs.tensors.safetensors_reader import Reader, Tensor
from modelrefresh_jobs.weights import lora_folding, trained_weights
from tests.jobs import builders

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*tie_word_embeddings=True.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers` to `True`:UserWarning"),
]
STORED = "adapter_model.safetensors"
TIED = {"ensure_weight_tying": True}


def adapter(start: pathlib.Path, folder: pathlib.Path, **settings: Any) -> Any:  # noqa: ANN401 -- peft is untyped
    torch.manual_seed(7)
    plain = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    config = peft.LoraConfig(**(plain | settings))
    model = peft.get_peft_model(transformers.AutoModelForCausalLM.from_pretrained(start), config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return model


def folded(start: pathlib.Path, folder: pathlib.Path) -> dict[str, np.ndarray[Any, Any]]:
    model = model_folder.accept(start)
    weights = trained_weights.Adapted(start=model, adapter=lora_folding.accept(folder, model))
    with Reader() as reader:
        return {name: whole(weights, tensor, reader).reshape(tensor.shape) for name, tensor in model.tensors.items()}


def whole(weights: trained_weights.Trained, tensor: Tensor, reader: Reader) -> dtypes.Values:
    start = dtypes.widen(reader.bits(tensor, 0, tensor.count), tensor.form)
    return weights.tensor(tensor.name, reader, dtypes.Scratch())(0, tensor.count, start)


@pytest.mark.parametrize(
    ("arch", "settings"),
    [
        pytest.param(builders.LLAMA, {}, id="plain"),
        pytest.param(builders.LLAMA, {"modules_to_save": ["embed_tokens", "lm_head"]}, id="untied-embeddings"),
        pytest.param(builders.QWEN2, {"modules_to_save": ["embed_tokens"], **TIED}, id="tied-embeddings"),
        pytest.param(builders.QWEN2, {"modules_to_save": ["lm_head"], **TIED}, id="tied-head"),
        pytest.param(builders.QWEN2, {"modules_to_save": ["embed_tokens", "lm_head"], **TIED}, id="tied-both"),
        pytest.param(builders.LLAMA, {"target_modules": ["q_proj", "lm_head"]}, id="untied-head-adapted"),
        pytest.param(builders.LLAMA, {"modules_to_save": ["norm"]}, id="norm"),
        pytest.param(builders.LLAMA, {"use_rslora": True}, id="rank-stabilised"),
        pytest.param(
            builders.LLAMA, {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"layers.1.mlp.up_proj": 3}}, id="patterns"
        ),
    ],
)
def test_folding_gives_what_peft_merges(tmp_path: pathlib.Path, arch: str, settings: dict[str, Any]) -> None:
    start = builders.tiny_model(tmp_path / "start", arch=arch)
    model = adapter(start, tmp_path / "adapter", **settings)
    merged = model.merge_and_unload().state_dict()
    before = model_folder.accept(start)
    for name, values in folded(start, tmp_path / "adapter").items():
        np.testing.assert_allclose(values, merged[name].numpy(), atol=1e-6, err_msg=name)
    assert before.tensors.keys() <= merged.keys()


def test_folding_rounds_nothing_before_the_sum(tmp_path: pathlib.Path) -> None:
    start = builders.tiny_model(tmp_path / "start", dtype="bfloat16")
    adapter(start, tmp_path / "adapter")
    name = "model.layers.0.mlp.up_proj.weight"
    values = folded(start, tmp_path / "adapter")[name]
    rounded = dtypes.widen(dtypes.narrow(values.reshape(-1), dtypes.BF16), dtypes.BF16)
    assert not np.array_equal(values.reshape(-1), rounded)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"a_setting_of_tomorrow": 1}, "a_setting_of_tomorrow"),
    ],
)
def test_a_setting_that_cannot_be_folded_is_refused_by_name(
    tmp_path: pathlib.Path, changes: dict[str, Any], named: str
) -> None:
    start = builders.tiny_model(tmp_path / "start")
    adapter(start, tmp_path / "adapter")
    builders.edit_json(tmp_path / "adapter" / model_files.ADAPTER_CONFIG, **changes)
    with pytest.raises(StageError, match=named) as caught:
        lora_folding.accept(tmp_path / "adapter", model_folder.accept(start))
    assert caught.value.reason == "ResidualIncompatible"


def test_an_adapter_of_another_model_is_refused_with_both_shapes(tmp_path: pathlib.Path) -> None:
    start = builders.tiny_model(tmp_path / "start")
    adapter(start, tmp_path / "adapter")
    other = tmp_path / "other"
    shutil.copytree(start, other)
    name = "model.layers.0.mlp.up_proj.weight"
    builders.set_weights(other, **{name: torch.zeros(40, 32)})
    with pytest.raises(StageError, match=rf"{name}: B \[48, 4\] A \[4, 32\] against \[40, 32\]"):
        lora_folding.accept(tmp_path / "adapter", model_folder.accept(other))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"modules_to_save": ["embed_tokens"]}, "embed_tokens.weight was trained without ensure_weight_tying"),
        ({"modules_to_save": ["lm_head"]}, "lm_head.weight was trained alone"),
        ({"modules_to_save": ["embed_tokens", "lm_head"]}, "were trained apart"),
        ({"target_modules": ["q_proj", "lm_head"]}, "an adapter changed lm_head.weight alone"),
        ({"target_modules": ["q_proj", "embed_tokens"]}, "an adapter on an embedding"),
        ({"target_modules": ["q_proj", "embed_tokens"], **TIED}, "an adapter on an embedding"),
    ],
)
def test_an_adapter_that_unties_what_the_start_ties_is_refused_with_the_cause(
    tmp_path: pathlib.Path, settings: dict[str, Any], said: str
) -> None:
    start = builders.tiny_model(tmp_path / "start", arch=builders.QWEN2)
    adapter(start, tmp_path / "adapter", **settings)
    with pytest.raises(StageError, match=said) as caught:
        lora_folding.accept(tmp_path / "adapter", model_folder.accept(start))
    assert caught.value.reason == "ResidualIncompatible"


def test_a_head_below_an_adapter_that_is_not_the_starts_is_refused_as_what_it_is(tmp_path: pathlib.Path) -> None:
    start = builders.tiny_model(tmp_path / "start")
    adapter(start, tmp_path / "adapter", target_modules=["q_proj", "lm_head"])
    other = builders.disturbed(start, tmp_path / "other", seed=5)
    with pytest.raises(StageError, match=r"lm_head\.base_layer\.weight: PEFT's copy of the layer below an adapter"):
        lora_folding.accept(tmp_path / "adapter", model_folder.accept(other))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_an_adapter_may_have_any_format_over_a_start_of_any_format(
    tmp_path: pathlib.Path, dtype: str, kind: torch.dtype
) -> None:
    start = builders.tiny_model(tmp_path / "start", dtype=dtype)
    adapter(start, tmp_path / "adapter", modules_to_save=["embed_tokens", "norm"])
    stored = {name: value.to(kind) for name, value in load_file(tmp_path / "adapter" / STORED).items()}
    save_file(stored, tmp_path / "adapter" / STORED)
    found, before = folded(start, tmp_path / "adapter"), load_file(start / "model.safetensors")
    prefix, module = "base_model.model.", "model.layers.1.self_attn.q_proj"
    change = [stored[f"{prefix}{module}.lora_{part}.weight"].double() for part in "BA"]
    np.testing.assert_allclose(
        found[f"{module}.weight"], before[f"{module}.weight"].double() + 2.0 * change[0] @ change[1], rtol=1e-12
    )
    for name in (model_folder.EMBEDDING, "model.norm.weight"):
        np.testing.assert_array_equal(found[name], stored[prefix + name].double().numpy())


def test_adapters_of_whole_numbers_are_refused_with_three_names_and_a_count(tmp_path: pathlib.Path) -> None:
    start = builders.tiny_model(tmp_path / "start")
    adapter(start, tmp_path / "adapter")
    stored = {name: value.to(torch.int8) for name, value in load_file(tmp_path / "adapter" / STORED).items()}
    save_file(stored, tmp_path / "adapter" / STORED)
    with pytest.raises(StageError, match=rf"expected .* weights, saw .*: I8; and {len(stored) - 3} more") as caught:
        lora_folding.accept(tmp_path / "adapter", model_folder.accept(start))
    assert str(caught.value).count("I8") == 3


def test_a_folder_with_an_adapter_and_a_whole_model_is_refused(tmp_path: pathlib.Path) -> None:
    start = builders.tiny_model(tmp_path / "start")
    adapter(start, tmp_path / "adapter")
    shutil.copyfile(start / "model.safetensors", tmp_path / "adapter" / "model.safetensors")
    with pytest.raises(StageError, match="more than one set of weights"):
        trained_weights.accept(tmp_path / "adapter", model_folder.accept(start))


def test_an_expression_of_an_adapter_that_never_finishes_is_refused(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lora_folding, "_MATCH_SECONDS", 0.05)
    start = builders.tiny_model(tmp_path / "start")
    adapter(start, tmp_path / "adapter")
    builders.edit_json(tmp_path / "adapter" / "adapter_config.json", alpha_pattern={"(.|..|...)*[A-Z]": 3})
    with pytest.raises(StageError, match="alpha_pattern") as caught:
        lora_folding.accept(tmp_path / "adapter", model_folder.accept(start))
    assert caught.value.reason == "ResidualIncompatible"
