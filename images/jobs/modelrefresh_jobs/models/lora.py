"""Attachment of LoRA adapters to a model: the layers of its family and, where asked, embeddings and head in full.

Tied models train the one shared matrix once and stay tied. Knows nothing of training.
"""

import warnings

import peft
from peft import PeftModel
from transformers import PreTrainedModel

from modelrefresh.contract.stages.train import TrainInput
from modelrefresh_jobs.models import families


def attach(model: PreTrainedModel, wanted: TrainInput) -> PeftModel:
    """The model with trainable adapters on frozen weights, of the rank and alpha that are asked for."""
    tied = bool(getattr(model.config.get_text_config(), "tie_word_embeddings", False))
    config = peft.LoraConfig(
        r=wanted.lora_rank,
        lora_alpha=wanted.lora_alpha,
        target_modules=list(families.of({"model_type": model.config.model_type}).lora) or "all-linear",
        task_type="CAUSAL_LM",
        modules_to_save=_saved_in_full(model, tied=tied) if wanted.lora_embeddings else None,
        ensure_weight_tying=tied and wanted.lora_embeddings,
    )
    with warnings.catch_warnings():
        # peft asks transformers by the name that is going away; nobody here can answer for it.
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
        return peft.get_peft_model(model, config)


def _saved_in_full(model: PreTrainedModel, *, tied: bool) -> list[str]:
    wanted = [model.get_input_embeddings()] if tied else [model.get_input_embeddings(), model.get_output_embeddings()]
    return [name.rsplit(".", 1)[-1] for name, module in model.named_modules() if any(module is one for one in wanted)]
