"""Tiny models of real architectures: Llama (untied) or Qwen2 (tied embeddings, grouped key-value heads).

From-scratch weights only; nothing is fetched. Refuses to know how they are trained.
"""

from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    LlamaConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from examples.seed import recipe, tokenizer

HEADS = 4


def make(settings: recipe.Settings, words: PreTrainedTokenizerFast) -> PreTrainedModel:
    """A model of these settings with random weights; 1.7 million of them for Llama and nothing else said."""
    llama = settings.architecture == "llama"
    config = (LlamaConfig if llama else Qwen2Config)(
        vocab_size=len(words),
        hidden_size=settings.hidden,
        intermediate_size=3 * settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS if llama else HEADS // 2,
        max_position_embeddings=tokenizer.LONGEST,
        tie_word_embeddings=not llama,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    model.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=24,
        bos_token_id=words.bos_token_id,
        pad_token_id=words.pad_token_id,
        eos_token_id=[words.eos_token_id, words.convert_tokens_to_ids(tokenizer.END_OF_TURN)],
    )
    return model
