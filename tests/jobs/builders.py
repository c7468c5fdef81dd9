"""Tiny real models, made on the fly: complete Hugging Face checkpoints that load and generate.

Seeds make them reproducible. A pair shares tokenizer and shapes; its instruct model has other
weights, a chat template and a stop token of its own.
"""

import dataclasses
import functools
import json
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.torch
import tokenizers
import torch
import transformers
from transformers import LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

from modelrefresh.contract import artifacts, stage_request
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.models import families
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.tensors import safetensors_reader
from modelrefresh_jobs.tensors.safetensors_reader import Reader

LLAMA = "LlamaForCausalLM"
QWEN2 = "Qwen2ForCausalLM"
MISTRAL = "MistralForCausalLM"
QWEN3 = "Qwen3ForCausalLM"
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
SPECIAL: Mapping[str, Mapping[str, Any]] = {
    "gemma2": {"sliding_window": 8, "query_pre_attn_scalar": 8},
    "gemma3_text": {
        "sliding_window": 8,
        "query_pre_attn_scalar": 8,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "granite": {"embedding_multiplier": 12.0, "logits_scaling": 8.0, "residual_multiplier": 0.2},
    "smollm3": {"no_rope_layers": [1, 0]},
    "mixtral": {"num_local_experts": 4},
    "qwen2_moe": {**_EXPERTS, "shared_expert_intermediate_size": 16},
    "qwen3_moe": _EXPERTS,
}
"""What tiny models of a family have beside the common shape, so that what is special in it is there."""
CONFIGS = {LLAMA: LlamaConfig, QWEN2: Qwen2Config, MISTRAL: MistralConfig, QWEN3: Qwen3Config}
ROLES = ("base", "instruct", "trained")
VOCABULARY = 320
TEXT_END, TURN_END = "<|text|>", "<|end|>"
"""Stop tokens of the base and of the instruct model; their ids are 0 and 1."""
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<|end|>{% endfor %}"
_SENTENCES = ("the quick brown fox jumps over the lazy dog", "answer: the capital of the country is the town")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A base, its instruct model, and the base after some training."""

    base: pathlib.Path
    instruct: pathlib.Path
    trained: pathlib.Path


def tiny_pair(folder: pathlib.Path, *, arch: str = LLAMA, dtype: str = "float32") -> Pair:
    """Three checkpoints of one shape: base, instruct (a little away), trained (a little elsewhere)."""
    base = tiny_model(folder / "base", arch=arch, dtype=dtype, seed=1)
    instruct = disturbed(base, folder / "instruct", seed=2)
    make_instruct(instruct)
    return Pair(base=base, instruct=instruct, trained=disturbed(base, folder / "trained", seed=3))


def tiny_model(folder: pathlib.Path, *, arch: str = LLAMA, dtype: str = "float32", seed: int = 0) -> pathlib.Path:
    """A base model with tokenizer: hidden 32, two layers; tied as the releases are, of those that differ Qwen2."""
    torch.manual_seed(seed)
    config = tiny_config(arch)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    (folder / "LICENSE").write_text("for tests\n")
    return folder


def tiny_config(arch: str) -> Any:  # noqa: ANN401 -- transformers' configurations are untyped
    """Configuration of the tiny models."""
    shape = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 128,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    family = families.named(arch)
    assert family
    special = {"pad_token_id": 0, **SPECIAL.get(family.model_type, {})}
    tied = arch == QWEN2 or family.absent.get("tie_word_embeddings", False)
    return transformers.CONFIG_MAPPING[family.model_type](**shape, **special, tie_word_embeddings=tied)


@functools.cache
def tiny_tokenizer() -> Any:  # noqa: ANN401 -- transformers' tokenizers are untyped
    """A byte-level BPE of `VOCABULARY` tokens with the chat tokens in it."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[TEXT_END, TURN_END],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_SENTENCES * 50, trainer)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=TEXT_END, pad_token=TEXT_END)


def make_instruct(folder: pathlib.Path) -> None:
    """Give a model what an instruct model has beside weights: template, and `TURN_END` as the stop token."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = TEMPLATE
    tokenizer.eos_token = TURN_END
    tokenizer.save_pretrained(folder)
    edit_json(folder / "config.json", eos_token_id=[1, 0])
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 0], "do_sample": False}))


def disturbed(source: pathlib.Path, target: pathlib.Path, *, seed: int, size: float = 0.02) -> pathlib.Path:
    """A copy with every weight moved a little."""
    shutil.copytree(source, target)
    generator = torch.Generator().manual_seed(seed)
    weights = safetensors.torch.load_file(target / "model.safetensors")
    moved = {
        name: (value.float() + size * torch.randn(value.shape, generator=generator)).to(value.dtype)
        for name, value in weights.items()
    }
    safetensors.torch.save_file(moved, target / "model.safetensors", metadata={"format": "pt"})
    return target


def set_weights(folder: pathlib.Path, **changes: torch.Tensor) -> None:
    """Replace tensors of a single-file checkpoint."""
    edit_weights(folder / "model.safetensors", **changes)


def edit_weights(file: pathlib.Path, **changes: torch.Tensor) -> None:
    """Replace or add tensors of one safetensors file."""
    stored = safetensors.torch.load_file(file) | changes
    safetensors.torch.save_file(stored, file, metadata={"format": "pt"})


def resharded(source: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    """The same model in several small shards."""
    model = transformers.AutoModelForCausalLM.from_pretrained(source)
    shutil.copytree(source, target)
    (target / "model.safetensors").unlink()
    model.save_pretrained(target, max_shard_size="20KB")
    return target


def weights(folder: pathlib.Path) -> dict[str, bytes]:
    """All weights as bytes, whatever the sharding."""
    with Reader() as reader:
        return {name: reader.raw(one, 0, one.count) for name, one in safetensors_reader.open_folder(folder).items()}


def edit_json(path: pathlib.Path, **changes: object) -> None:
    """Change keys of a JSON object; None removes one."""
    document = json.loads(path.read_text()) | changes
    write_json(path, {key: value for key, value in document.items() if value is not None})


def write_json(path: pathlib.Path, document: Mapping[str, object]) -> None:
    """Write a JSON object."""
    path.write_text(json.dumps(document))


def request(workspace: pathlib.Path, stage: Stage, section: object = None) -> stage_request.StageRequest:
    """A stage's request in this workspace."""
    sources = str(workspace / "src")
    return stage_request.StageRequest(
        stage=stage, owner="chat", run="r1", workspace=str(workspace), sources=sources, section=section
    )


def uri(folder: pathlib.Path) -> str:
    """A folder as a URI."""
    return f"file://{folder}"


def quiet(stage: Stage) -> Progress:
    """A progress that nobody watches."""
    return Progress(stage=stage.value)


def workspace_of(root: pathlib.Path) -> artifacts.Workspace:
    """The paths below a root."""
    return artifacts.Workspace(root=root)


def shell() -> dict[str, str]:
    """Environment in which `python -m modelrefresh_jobs` is this checkout's, as a person would call it."""
    root = pathlib.Path(__file__).parents[2]
    own = {"PYTHONPATH": f"{root / 'operator'}:{root / 'images' / 'jobs'}", "OMP_NUM_THREADS": "1"}
    return {name: value for name, value in os.environ.items() if name != stage_request.INPUT_VARIABLE} | own


def logits(folder: pathlib.Path) -> np.ndarray[Any, Any]:
    """What a model says to a fixed text, in float64."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    with torch.no_grad():
        return np.asarray(model(torch.arange(2, 34).unsqueeze(0)).logits[0])
