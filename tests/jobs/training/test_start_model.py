"""Number formats of what is trained and of what is frozen."""

import pathlib

import pytest
import torch

from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method
from modelrefresh_jobs.training import start_model
from tests.jobs import builders

MIXTURE = "MixtralForCausalLM"
TOKENS = torch.arange(2, 34).unsqueeze(0)


def loaded(root: pathlib.Path, *, gpu: bool, arch: str = builders.LLAMA, **changes: object) -> torch.nn.Module:
    folder = builders.tiny_model(root / "base", arch=arch)
    settings: dict[str, object] = {"method": Method.LORA, "lora_rank": 4, "zero_stage": 0} | changes
    wanted = TrainInput(start=builders.uri(folder), **settings)  # type: ignore[arg-type]
    return start_model.load(wanted, folder, length=32, gpu=gpu)


def formats(model: torch.nn.Module, *, trained: bool) -> set[torch.dtype]:
    return {weight.dtype for weight in model.parameters() if weight.requires_grad is trained}


@pytest.mark.parametrize("embeddings", [False, True])
def test_on_a_gpu_adapters_are_float32_on_frozen_bf16(tmp_path: pathlib.Path, *, embeddings: bool) -> None:
    model = loaded(tmp_path, gpu=True, lora_embeddings=embeddings)
    assert (formats(model, trained=True), formats(model, trained=False)) == ({torch.float32}, {torch.bfloat16})


def test_on_a_cpu_everything_is_float32(tmp_path: pathlib.Path) -> None:
    model = loaded(tmp_path, gpu=False)
    assert formats(model, trained=True) | formats(model, trained=False) == {torch.float32}


def test_all_weights_that_are_trained_in_full_are_float32_everywhere(tmp_path: pathlib.Path) -> None:
    assert formats(loaded(tmp_path, gpu=True, method=Method.FULL), trained=True) == {torch.float32}


@pytest.mark.parametrize("embeddings", [False, True])
def test_adapters_on_bf16_learn_about_as_much_as_on_float32(tmp_path: pathlib.Path, *, embeddings: bool) -> None:
    losses = []
    for gpu in (False, True):
        torch.manual_seed(0)
        model = loaded(tmp_path / str(gpu), gpu=gpu, lora_embeddings=embeddings)
        optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-2)
        for _ in range(20):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = model(input_ids=TOKENS, labels=TOKENS).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(float(loss.detach()))
    assert max(losses) < 5.7
    assert losses[1] == pytest.approx(losses[0], abs=0.4)


@pytest.mark.parametrize(
    ("arch", "method", "is_said"),
    [(MIXTURE, Method.LORA, True), (MIXTURE, Method.FULL, False), (builders.LLAMA, Method.LORA, False)],
)
def test_what_lora_leaves_of_a_mixture_of_experts_is_said(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, arch: str, method: Method, *, is_said: bool
) -> None:
    caplog.set_level("INFO")
    loaded(tmp_path, gpu=False, arch=arch, method=method)
    said = "is a mixture of experts (MixtralForCausalLM), of which LoRA trains only q_proj, k_proj, v_proj, o_proj"
    assert (said in caplog.text) is is_said
