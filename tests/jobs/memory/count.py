"""What torch itself holds in a forward and a backward pass, counted on tensors without data (FakeTensorMode).

Every storage counts from the operation that makes it to its end, as torch.distributed's MemTracker counts, which takes
much longer. Shapes of public releases are written out, so that no test needs a hub.
"""

import dataclasses
import weakref
from typing import Any

import torch
import transformers
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from transformers import LlamaConfig, Qwen2Config

from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method
from modelrefresh_jobs.memory.needs import Setting
from modelrefresh_jobs.models import lora

_LLAMA_3 = {
    "vocab_size": 128_256,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
}
RELEASES = {
    "0.5 B": Qwen2Config(
        vocab_size=151_936,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        max_position_embeddings=32_768,
        tie_word_embeddings=True,
    ),
    "8 B": LlamaConfig(
        **_LLAMA_3, hidden_size=4096, intermediate_size=14_336, num_hidden_layers=32, num_attention_heads=32
    ),
    "70 B": LlamaConfig(
        **_LLAMA_3, hidden_size=8192, intermediate_size=28_672, num_hidden_layers=80, num_attention_heads=64
    ),
}
"""Shapes of Qwen2.5-0.5B, Llama 3 8B and Llama 3 70B."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counted:
    """Bytes beside weights and gradients."""

    kept: int
    """After the forward pass."""
    peak: int


class _Live(TorchDispatchMode):
    """Bytes of all storages that are made while it is on, less those that ended."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.made: set[int] = set()

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        result = func(*args, **(kwargs or {}))
        for one in tree_iter(result):
            if isinstance(one, torch.Tensor):
                self._add(one.untyped_storage())
        self.peak = max(self.peak, self.now)
        return result

    def _add(self, storage: Any) -> None:  # noqa: ANN401 -- torch's storages have no public name in C
        name, size = storage._cdata, storage.nbytes()  # noqa: SLF001 -- equal for all views of one storage
        if name not in self.made:
            self.made.add(name)
            self.now += size
            weakref.finalize(storage, self._end, name, size)

    def _end(self, name: int, size: int) -> None:
        self.made.discard(name)
        self.now -= size


def model(config: Any, wanted: TrainInput, *, autocast: bool = False) -> Any:  # noqa: ANN401
    """What the trainer holds, without numbers: all bf16 as DeepSpeed casts it; under autocast float32 where trained."""
    is_full = wanted.method is Method.FULL
    with torch.device("meta"):
        dtype = torch.float32 if autocast and is_full else torch.bfloat16
        made = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    made.config.use_cache = False
    if is_full:
        return made.train()
    adapted = lora.attach(made, wanted)
    for weight in adapted.parameters():
        weight.data = weight.data.to(torch.float32 if autocast and weight.requires_grad else torch.bfloat16)
    return adapted.train()


def count(config: Any, wanted: TrainInput, setting: Setting) -> Counted:  # noqa: ANN401
    """Forward and backward pass of one micro-batch; under autocast in stage 0."""
    autocast = not setting.zero_stage
    made = model(config, wanted, autocast=autocast)
    if setting.recompute:
        made.activation_checkpointing_enable({"use_reentrant": False})
    with FakeTensorMode(allow_non_fake_inputs=True):
        known = _fill(made)
        shape = (setting.batch_size, setting.sequence_length)
        ids = torch.zeros(shape, dtype=torch.long)
        mask = torch.ones(shape[0], 1, shape[1], shape[1], dtype=torch.bool)  # of packed documents
        batch = {"input_ids": ids, "labels": ids, "position_ids": ids, "attention_mask": mask}
        with _Live() as live:
            live.made |= known
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                loss = made(**batch).loss
            kept = live.now
            loss.backward()
    return Counted(kept=kept, peak=live.peak)


def _fill(made: torch.nn.Module) -> set[int]:
    """Put tensors of a CPU in the place of those without a device, gradients included; gives their storages."""
    known: dict[int, torch.nn.Parameter] = {}
    for module in made.modules():
        for name, old in module.named_parameters(recurse=False, remove_duplicate=False):
            if id(old) not in known:
                new = torch.nn.Parameter(torch.empty(old.shape, dtype=old.dtype), requires_grad=old.requires_grad)
                new.grad = torch.empty_like(new) if old.requires_grad else None
                known[id(old)] = new
            module._parameters[name] = known[id(old)]  # noqa: SLF001 -- no module lets its tensors be replaced by others
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)  # noqa: SLF001 -- the same
    held = [one for part in known.values() for one in (part, part.grad) if one is not None]
    return {one.untyped_storage()._cdata for one in held}  # noqa: SLF001 -- as above
