"""The model that training starts from: loaded, and with adapters where those are what is trained.

What is trained is float32. The frozen weights below adapters are bf16 on GPUs: half the memory, and matrices are
multiplied in bf16 there in any case. DeepSpeed casts everything by itself and keeps float32 masters of what is
trained. Knows no data and no Trainer.
"""

import logging
import pathlib

import torch
import transformers
from peft import PeftModel
from transformers import PreTrainedModel

from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method
from modelrefresh_jobs.models import families, lora, model_config, model_folder
from modelrefresh_jobs.process import errors
from modelrefresh_jobs.training import trainer_arguments

LOG = logging.getLogger("modelrefresh.jobs")


def load(
    wanted: TrainInput, start: pathlib.Path, *, length: int, gpu: bool, kernel: str | None = None
) -> PreTrainedModel | PeftModel:
    """The model at `start` with what is trained, for blocks of `length` tokens and, if one is named, an attention.

    Raises:
        StageError: InvalidSpec, when the blocks are longer than the model knows positions.
    """
    model = transformers.AutoModelForCausalLM.from_pretrained(
        start,
        config=model_config.load(start, model_folder.accept(start).config),
        dtype=torch.bfloat16 if gpu and wanted.method is Method.LORA else torch.float32,
        attn_implementation=kernel,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
    )
    longest = getattr(model.config.get_text_config(), "max_position_embeddings", length)
    if longest < length:
        raise errors.StageError(
            StageReason.INVALID_SPEC,
            f"spec.training.sequenceLength is {length}, but {wanted.start} knows {longest} positions; "
            f"expected at most {longest}.",
        )
    model.config.use_cache = False
    if wanted.method is Method.FULL:
        return model
    if left := families.of({"model_type": model.config.model_type}).lora_leaves:
        LOG.info("train: %s %s", wanted.start, left)
    adapted = lora.attach(model, wanted)
    if not trainer_arguments.uses_deepspeed(wanted, gpu=gpu):
        for weight in adapted.parameters():
            weight.data = weight.data.float() if weight.requires_grad else weight.data
    return adapted
