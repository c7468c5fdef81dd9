"""The model families that are known, one row each; no other module names one.

A row says how transformers builds a family: the keys of config.json that are arithmetic for it alone, and what it
takes for keys that are absent where that differs from `arithmetic`'s. `tests/jobs/models/test_families.py` takes
each through all stages. Knows no weights.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelrefresh_jobs.process import errors

Config = Mapping[str, Any]
Layers = Callable[[Config, int], list[bool]]
"""`(config, number of layers)` to a truth for each layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family."""

    title: str
    """Releases of it, for people."""
    architecture: str
    """As in `architectures`, by which servers build."""
    model_type: str
    """As in `model_type`, by which transformers builds."""
    absent: Config
    """Common keys whose absence means something else here than `arithmetic` says."""
    own: Config = field(default_factory=dict)
    """Arithmetic keys of this family alone, with what an absent one means; where that depends, a function."""
    read: frozenset[str] = frozenset()
    """Further keys from which windows, rope or a key of `own` follow, or that only other classes read."""
    spelled: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Other spellings of a key in config.json, the first that is there counts."""
    slides: Layers = lambda _, layers: [False] * layers
    """Layers whose attention has a window, where `layer_types` does not say it."""
    switched: bool = False
    """No layer has a window unless `use_sliding_window` is on."""
    local_rope: bool = False
    """Layers with a window have a rotary embedding of their own."""
    lora: tuple[str, ...] = ()
    """Names of the layers that LoRA adapts; none means all linear ones but the head."""
    note: str = ""
    """What users should know of it."""

    @property
    def keys(self) -> frozenset[str]:
        """All keys that only this row explains."""
        return frozenset({*self.own, *self.read, *(one for many in self.spelled.values() for one in many)})

    @property
    def lora_leaves(self) -> str:
        """What LoRA leaves as it is, for people; empty where it trains all linear layers but the head."""
        only = f"of which LoRA trains only {', '.join(self.lora)}; method: Full trains the experts too"
        return f"is a mixture of experts ({self.architecture}), {only}" if self.lora else ""


def of(config: Config) -> Family:
    """The family that transformers builds from a config.json.

    Raises:
        ValueError: when it is none that is known.
    """
    found = [family for family in FAMILIES if family.model_type == config.get("model_type")]
    if not found:
        raise ValueError(f"model_type is {errors.shown(config.get('model_type'))}")
    return found[0]


def named(architecture: object) -> Family | None:
    """The family of this architecture, if it is known."""
    return next((family for family in FAMILIES if family.architecture == architecture), None)


def ropeless(config: Config) -> list[int]:
    """SmolLM 3: a 0 for each layer without rotary embedding, by default every fourth."""
    every = config.get("no_rope_layer_interval", 4)
    layers = config.get("num_hidden_layers", 36)
    return config.get("no_rope_layers") or [int((number + 1) % every != 0) for number in range(layers)]


def _all(_: Config, layers: int) -> list[bool]:
    return [True] * layers


def _late(config: Config, layers: int) -> list[bool]:
    first = config.get("max_window_layers", 28)
    return [number >= first for number in range(layers)]


def _early_alternating(config: Config, layers: int) -> list[bool]:
    last = config.get("max_window_layers", 28)
    return [number % 2 == 0 and number < last for number in range(layers)]


def _alternating(_: Config, layers: int) -> list[bool]:
    return [number % 2 == 0 for number in range(layers)]


def _but_every_sixth(config: Config, layers: int) -> list[bool]:
    every = config.get("sliding_window_pattern", 6)
    return [(number + 1) % every != 0 for number in range(layers)]


def _without_rope(config: Config, layers: int) -> list[bool]:
    return [not rotates for rotates in ropeless(config)[:layers]]


_QWEN = {"vocab_size": 151936, "sliding_window": 4096}
_GEMMA = {
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "hidden_act": "gelu_pytorch_tanh",
    "sliding_window": 4096,
    "tie_word_embeddings": True,
}
_EXPERTS = {"decoder_sparse_step": 1, "norm_topk_prob": False, "mlp_only_layers": []}
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
_MIXTURE = "Mixture of experts: LoRA trains its attention alone, `method: Full` the experts too."

FAMILIES = (
    Family(
        title="Llama 2, 3, 3.1, 3.2 (text), SmolLM 2",
        architecture="LlamaForCausalLM",
        model_type="llama",
        absent={"vocab_size": 32000, "intermediate_size": 11008},
    ),
    Family(
        title="Mistral 7B",
        architecture="MistralForCausalLM",
        model_type="mistral",
        absent={"vocab_size": 32000, "intermediate_size": 14336, "num_key_value_heads": 8, "sliding_window": 4096},
        slides=_all,
    ),
    Family(
        title="Qwen 2, 2.5",
        architecture="Qwen2ForCausalLM",
        model_type="qwen2",
        absent={**_QWEN, "intermediate_size": 22016, "num_key_value_heads": 32},
        slides=_late,
        switched=True,
    ),
    Family(
        title="Qwen 3",
        architecture="Qwen3ForCausalLM",
        model_type="qwen3",
        absent={**_QWEN, "intermediate_size": 22016, "num_key_value_heads": 32, "head_dim": 128},
        slides=_late,
        switched=True,
    ),
    Family(
        title="Gemma 2",
        architecture="Gemma2ForCausalLM",
        model_type="gemma2",
        absent={**_GEMMA, "vocab_size": 256000},
        own={
            "query_pre_attn_scalar": 256,
            "final_logit_softcapping": 30.0,
            "attn_logit_softcapping": 50.0,
            "use_bidirectional_attention": False,
        },
        spelled={"hidden_act": ("hidden_activation",)},
        slides=_alternating,
    ),
    Family(
        title="Gemma 3 (text)",
        architecture="Gemma3ForCausalLM",
        model_type="gemma3_text",
        absent={**_GEMMA, "vocab_size": 262208, "rope_theta": 1e6},
        own={
            "query_pre_attn_scalar": 256,
            "final_logit_softcapping": None,
            "attn_logit_softcapping": None,
            "use_bidirectional_attention": False,
        },
        read=frozenset({"rope_local_base_freq", "sliding_window_pattern", "_sliding_window_pattern"}),
        spelled={"hidden_act": ("hidden_activation",)},
        slides=_but_every_sixth,
        local_rope=True,
        note="270M and 1B; the larger releases hold a vision model (Gemma3ForConditionalGeneration).",
    ),
    Family(
        title="Phi 3, 3.5, 4",
        architecture="Phi3ForCausalLM",
        model_type="phi3",
        absent={
            "vocab_size": 32064,
            "hidden_size": 3072,
            "intermediate_size": 8192,
            "rms_norm_eps": 1e-5,
            "original_max_position_embeddings": 4096,
        },
        slides=_all,
        note="One tensor for q, k and v. Of a release with code, take a copy without `*.py` and `auto_map`.",
    ),
    Family(
        title="OLMo 2",
        architecture="Olmo2ForCausalLM",
        model_type="olmo2",
        absent={"vocab_size": 50304, "intermediate_size": 11008, "rms_norm_eps": 1e-5},
    ),
    Family(
        title="Granite 3",
        architecture="GraniteForCausalLM",
        model_type="granite",
        absent={"vocab_size": 32000, "intermediate_size": 11008},
        own={
            "attention_multiplier": 1.0,
            "embedding_multiplier": 1.0,
            "logits_scaling": 1.0,
            "residual_multiplier": 1.0,
        },
    ),
    Family(
        title="SmolLM 3",
        architecture="SmolLM3ForCausalLM",
        model_type="smollm3",
        absent={
            "vocab_size": 128256,
            "hidden_size": 2048,
            "intermediate_size": 11008,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 4,
            "tie_word_embeddings": True,
            "rope_theta": 2e6,
        },
        own={"no_rope_layers": ropeless},
        read=frozenset({"no_rope_layer_interval"}),
        slides=_without_rope,
        switched=True,
    ),
    Family(
        title="Mixtral",
        architecture="MixtralForCausalLM",
        model_type="mixtral",
        absent={
            "vocab_size": 32000,
            "intermediate_size": 14336,
            "num_key_value_heads": 8,
            "rms_norm_eps": 1e-5,
            "rope_theta": 1e6,
        },
        own={"num_local_experts": 8, "num_experts_per_tok": 2},
        spelled={"num_local_experts": ("num_local_experts", "num_experts")},
        slides=_all,
        lora=_ATTENTION,
        note=_MIXTURE,
    ),
    Family(
        title="Qwen 1.5 and 2, mixtures of experts",
        architecture="Qwen2MoeForCausalLM",
        model_type="qwen2_moe",
        absent={
            **_QWEN,
            "hidden_size": 2048,
            "intermediate_size": 5632,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
        },
        own={
            **_EXPERTS,
            "moe_intermediate_size": 1408,
            "shared_expert_intermediate_size": 5632,
            "num_experts_per_tok": 4,
            "num_experts": 60,
            "qkv_bias": True,
        },
        slides=_early_alternating,
        switched=True,
        lora=_ATTENTION,
        note=_MIXTURE,
    ),
    Family(
        title="Qwen 3, mixtures of experts",
        architecture="Qwen3MoeForCausalLM",
        model_type="qwen3_moe",
        absent={
            **_QWEN,
            "hidden_size": 2048,
            "intermediate_size": 6144,
            "num_hidden_layers": 24,
            "num_key_value_heads": 4,
        },
        own={**_EXPERTS, "moe_intermediate_size": 768, "num_experts_per_tok": 8, "num_experts": 128},
        spelled={"num_experts": ("num_experts", "num_local_experts")},
        slides=_all,
        switched=True,
        lora=_ATTENTION,
        note=_MIXTURE,
    ),
)
