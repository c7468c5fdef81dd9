"""The model that training starts from: loaded, and with adapters where those are what is trained.

Knows no data and no Trainer.
"""

import pathlib

import torch
import transformers
from peft import PeftModel
from transformers import PreTrainedModel

from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method
from modelrefresh_jobs.models import model_config, model_folder
from modelrefresh_jobs.process import errors
from modelrefresh_jobs.training import lora


def load(wanted: TrainInput, start: pathlib.Path, *, length: int) -> PreTrainedModel | PeftModel:
    """The model at `start` with what is trained, for blocks of `length` tokens.

    Raises:
        StageError: InvalidSpec, when the blocks are longer than the model knows positions.
    """
    model = transformers.AutoModelForCausalLM.from_pretrained(
        start,
        config=model_config.load(start, model_folder.accept(start).config),
        dtype=torch.float32,
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
    return lora.attach(model, wanted) if wanted.method is Method.LORA else model
