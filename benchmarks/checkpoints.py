"""Three synthetic checkpoints of one shape, as large as wanted: base, instruct and trained.

Weights are drawn as real ones lie: N(0, 0.02), the instruct model 0.001 and the trained one
0.0005 away from the base. Nothing in them is zero or equal, which would flatter whoever skips it.
"""

import dataclasses
import json
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass

import safetensors.torch
import tokenizers
import torch
import transformers

_SHARD_LAYERS, _HEAD = 2, 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a model of the Llama architecture."""

    hidden: int
    inner: int
    vocabulary: int
    layers: int

    @property
    def parameters(self) -> int:
        """Number of weights."""
        layer = 4 * self.hidden**2 + 3 * self.hidden * self.inner + 2 * self.hidden
        return self.layers * layer + 2 * self.vocabulary * self.hidden + self.hidden


SMALL = Shape(hidden=64, inner=256, vocabulary=512, layers=1)


def shape(parameters: int) -> Shape:
    """The shape with about so many weights; real widths, and as many layers as it takes."""
    one, two = (Shape(hidden=2048, inner=8192, vocabulary=32_000, layers=layers) for layers in (1, 2))
    layers = 1 + round((parameters - one.parameters) / (two.parameters - one.parameters))
    return dataclasses.replace(one, layers=max(1, layers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trio:
    """The three folders."""

    base: pathlib.Path
    instruct: pathlib.Path
    trained: pathlib.Path
    parameters: int
    bytes: int
    """Of the weights of each one."""


def make(folder: pathlib.Path, shape: Shape, *, kind: str = "bfloat16", away: float = 0.001) -> Trio:
    """Write three checkpoints of this shape, with the instruct model so far away from the base."""
    trio = Trio(
        base=folder / "base",
        instruct=folder / "instruct",
        trained=folder / "trained",
        parameters=shape.parameters,
        bytes=getattr(torch, kind).itemsize * shape.parameters,
    )
    for path in (trio.base, trio.instruct, trio.trained):
        path.mkdir(parents=True)
        _write_companions(path, shape, kind)
    _write_weights(trio, shape, kind, away)
    return trio


def _write_weights(trio: Trio, shape: Shape, kind: str, far: float) -> None:
    generator = torch.Generator().manual_seed(0)
    groups = list(_groups(shape))
    names: dict[str, str] = {}
    for number, group in enumerate(groups, 1):
        file = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        names |= dict.fromkeys(group, file)
        base = {name: torch.randn(size, generator=generator) * 0.02 for name, size in group.items()}
        for folder, away in ((trio.base, 0.0), (trio.instruct, far), (trio.trained, 0.0005)):
            moved = {
                # float64: of a sum of float32 numbers the difference would be a float32 number too.
                name: (value + away * torch.randn(value.shape, generator=generator, dtype=torch.float64)).to(
                    getattr(torch, kind)
                )
                for name, value in base.items()
            }
            safetensors.torch.save_file(moved, folder / file, metadata={"format": "pt"})
    index = json.dumps({"metadata": {"total_size": trio.bytes}, "weight_map": names})
    for folder in (trio.base, trio.instruct, trio.trained):
        (folder / "model.safetensors.index.json").write_text(index)


def _groups(shape: Shape) -> Iterator[dict[str, tuple[int, ...]]]:
    """Tensors of each file by name."""
    yield {"model.embed_tokens.weight": (shape.vocabulary, shape.hidden)}
    for first in range(0, shape.layers, _SHARD_LAYERS):
        numbers = range(first, min(first + _SHARD_LAYERS, shape.layers))
        yield {f"model.layers.{number}.{name}": size for number in numbers for name, size in _layer(shape).items()}
    yield {"model.norm.weight": (shape.hidden,), "lm_head.weight": (shape.vocabulary, shape.hidden)}


def _layer(shape: Shape) -> dict[str, tuple[int, ...]]:
    hidden, inner = shape.hidden, shape.inner
    square = {f"self_attn.{part}_proj.weight": (hidden, hidden) for part in "qkvo"}
    wide = {f"mlp.{part}_proj.weight": (inner, hidden) for part in ("gate", "up")}
    norms = {f"{part}_layernorm.weight": (hidden,) for part in ("input", "post_attention")}
    return {**square, **wide, "mlp.down_proj.weight": (hidden, inner), **norms}


def _write_companions(folder: pathlib.Path, shape: Shape, kind: str) -> None:
    transformers.LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.hidden // _HEAD,
        num_key_value_heads=shape.hidden // _HEAD,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
        dtype=kind,
    ).save_pretrained(folder)
    words = {f"w{number}": number for number in range(shape.vocabulary)}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="w1"))
    transformers.PreTrainedTokenizerFast(tokenizer_object=model, eos_token="w0", unk_token="w1").save_pretrained(folder)
