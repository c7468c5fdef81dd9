"""Documents of a block are learnt as if each stood alone, whichever way attention is computed.

Kernels of varying length need a GPU. What they are given is tested with one in plain torch, which reads the same
bounds and computes document by document.
"""

import itertools
import pathlib
from typing import Any

import pytest
import torch
import transformers
from torch.nn import functional
from transformers.masking_utils import AttentionMaskInterface

from modelrefresh.contract.vocabulary import Method
from modelrefresh_jobs.corpus import packing
from modelrefresh_jobs.training import attention, dataset
from tests.jobs import builders
from tests.jobs.runs import Run

DOCUMENTS = (tuple(range(5, 17)), tuple(range(40, 60)), (70,), tuple(range(80, 119)), tuple(range(120, 133)))
PLAIN = "one_by_one"
"""Name of the attention below."""


def one_by_one(
    module: torch.nn.Module,
    *states: Any,  # noqa: ANN401 -- query, key, value and mask
    scaling: float,
    **given: Any,  # noqa: ANN401 -- what transformers hands on
) -> tuple[torch.Tensor, None]:
    """Causal attention within the bounds that it is given, as flash attention's kernels of varying length."""
    query, key, value, mask = states
    assert module.training
    assert mask is None
    bounds = given["cu_seq_lens_q"].tolist()
    assert given["max_length_k"] == max(end - start for start, end in itertools.pairwise(bounds))
    parts = [
        functional.scaled_dot_product_attention(
            query[:, :, start:end], key[:, :, start:end], value[:, :, start:end],
            is_causal=True, scale=scaling, enable_gqa=True,
        )
        for start, end in itertools.pairwise(bounds)
    ]  # fmt: skip
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


@pytest.fixture(autouse=True)
def _known() -> None:
    transformers.AttentionInterface.register(PLAIN, one_by_one)
    AttentionMaskInterface.register(PLAIN, AttentionMaskInterface._global_mapping["flash_attention_2"])  # noqa: SLF001


def blocks(folder: pathlib.Path) -> list[dict[str, torch.Tensor]]:
    writer = packing.BlockWriter(folder / "raw", sequence_length=32, padding_token=0)
    for document in DOCUMENTS:
        writer.add(document)
    return [dataset.example(*pair) for pair in zip(*writer.close(), strict=True)]


def learnt(folder: pathlib.Path, implementation: str, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Summed loss of a batch and what it asks of each weight."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation=implementation).train()
    loss = model(**batch, use_cache=False, num_items_in_batch=1).loss
    loss.backward()
    return {"loss": loss.detach()} | {name: weight.grad for name, weight in model.named_parameters()}


@pytest.mark.parametrize("arch", [builders.LLAMA, builders.QWEN2, builders.QWEN3])
def test_both_ways_learn_the_same(tmp_path: pathlib.Path, arch: str) -> None:
    folder, examples = builders.tiny_model(tmp_path / "model", arch=arch), blocks(tmp_path)
    masked = learnt(folder, "sdpa", dataset.collate(examples))
    bounded = learnt(folder, PLAIN, dataset.flatten(examples))
    torch.testing.assert_close(bounded, masked, atol=2e-5, rtol=2e-4)


def test_packed_documents_are_learnt_as_if_each_stood_alone(tmp_path: pathlib.Path) -> None:
    folder, examples = builders.tiny_model(tmp_path / "model"), blocks(tmp_path)
    cut = [DOCUMENTS[0], DOCUMENTS[1], DOCUMENTS[2], DOCUMENTS[3][:31], DOCUMENTS[3][31:], DOCUMENTS[4]]
    alone = [
        learnt(folder, "sdpa", {"input_ids": torch.tensor([one]), "labels": torch.tensor([one])})
        for one in cut
        if len(one) > 1
    ]
    expected = {name: torch.stack([one[name] for one in alone]).sum(0) for name in alone[0]}
    for implementation, batch in (("sdpa", dataset.collate), (PLAIN, dataset.flatten)):
        found = learnt(folder, implementation, batch(examples))
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_a_flat_batch_says_where_documents_begin_and_end(tmp_path: pathlib.Path) -> None:
    batch = dataset.flatten(blocks(tmp_path))
    assert batch["cu_seq_lens_q"].tolist() == [0, 12, 32, 33, 64, 72, 85, 96]
    assert (batch["max_length_q"], batch["max_length_k"], batch["cu_seq_lens_k"].dtype) == (31, 31, torch.int32)
    assert batch["labels"].shape == batch["position_ids"].shape == (1, 96)


@pytest.mark.parametrize("method", list(Method))
def test_a_run_by_a_kernel_of_varying_length_ends_as_one_by_masks(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, method: Method
) -> None:
    masked, bounded = (Run(tmp_path / name, method=method, gradient_accumulation=2) for name in ("masked", "bounded"))
    with caplog.at_level("INFO"):
        expected = masked.train()
        monkeypatch.setattr(attention, "kernel", lambda: PLAIN)
        found = bounded.train()
    assert "by a mask over each block, as there is no flash-attn for a GPU" in caplog.text
    assert f"by {PLAIN}, each by itself" in caplog.text
    assert (found.steps, found.tokens) == (expected.steps, expected.tokens)
    assert found.last_loss == pytest.approx(expected.last_loss, abs=1e-4)
    torch.testing.assert_close(bounded.weights(), masked.weights(), atol=2e-3, rtol=0.05)
