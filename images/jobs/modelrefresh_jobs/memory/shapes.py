"""What the memory of a training depends on in a model: counts of weights and widths, read from its modules.

Takes a model of transformers on any device; on torch's meta device it costs no memory and no weights are read.
Adapters that are attached count as the trainer holds them. Knows no bytes and no GPUs.
"""

import typing
from dataclasses import dataclass
from typing import Any

import torch

from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """A decoder and what of it is trained; numbers of weights, tied ones once, and widths in elements per token."""

    parameters: int
    """Weights that are held, trained or not; adapters and copies of embeddings beside frozen ones included."""
    trained: int
    """Weights that have a gradient."""
    linear: int
    """Weights of linear layers, the head included."""
    largest: int
    """Weights of the largest single module."""
    largest_trained: int
    """Weights of the largest matrix that has a gradient."""
    layers: int
    hidden: int
    intermediate: int
    """Of the experts that see a token, where there are several."""
    vocabulary: int
    heads: int
    attention: int
    """Width of queries: heads times their size."""
    normed: int
    """Width of all that one layer normalises."""
    adapters: int
    """Sum of the ranks of one layer's adapters; 0 without."""
    is_plain: bool = True
    """Whether no experts are chosen and no scores capped, so that activations are counted rightly."""

    @property
    def is_full(self) -> bool:
        """Whether every weight is trained."""
        return self.parameters == self.trained


def of(model: torch.nn.Module) -> ModelShape:
    """The shape of a model, adapters included if there are any."""
    config = typing.cast("Any", model).config.get_text_config()
    weights = list(model.parameters())
    linear = {one.weight for one in model.modules() if isinstance(one, torch.nn.Linear)}
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    widths = {"q_norm": heads * size, "k_norm": config.num_key_value_heads * size}
    expert = getattr(config, "moe_intermediate_size", None) or config.intermediate_size
    experts = getattr(config, "num_experts_per_tok", None)
    first = _first_layer(model, config.num_hidden_layers)
    norms = [name.rsplit(".", 1)[-1] for name, one in first.named_modules() if type(one).__name__.endswith("Norm")]
    return ModelShape(
        parameters=sum(one.numel() for one in weights),
        trained=sum(one.numel() for one in weights if one.requires_grad),
        linear=sum(one.numel() for one in linear),
        largest=max(sum(one.numel() for one in module.parameters(recurse=False)) for module in model.modules()),
        largest_trained=max(one.numel() for one in weights if one.requires_grad),
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        intermediate=expert * (experts or 1),
        vocabulary=config.vocab_size,
        heads=heads,
        attention=heads * size,
        normed=sum(widths.get(name, config.hidden_size) for name in norms),
        is_plain=not (experts or getattr(config, "attn_logit_softcapping", None)),
        adapters=sum(one.out_features for name, one in first.named_modules() if name.endswith("lora_A.default")),
    )


def _first_layer(model: torch.nn.Module, layers: int) -> torch.nn.Module:
    return next(one[0] for one in model.modules() if isinstance(one, torch.nn.ModuleList) and len(one) == layers)


def planned(settings: Any, wanted: TrainInput) -> ModelShape:  # noqa: ANN401 -- transformers is untyped here
    """The shape of what `train` would hold of a model with this configuration; no weights are made or read."""
    import transformers

    from modelrefresh_jobs.models import lora

    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(settings)
    return of(lora.attach(model, wanted) if wanted.method is Method.LORA else model)
