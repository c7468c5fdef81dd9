"""How a training fits on the GPUs that it finds: whether it recomputes activations, whether it offloads the optimizer.

Decided from the arithmetic of `memory`, before the weights are loaded, alike in every process. What was asked for
(ZeRO stage, micro-batch) stays as it is. Knows torch's devices.
"""

import logging
import pathlib

import torch

from modelrefresh.contract import quantities
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh_jobs.models import model_config, model_folder
from modelrefresh_jobs.training import memory_fit, memory_words, model_shape
from modelrefresh_jobs.training.memory import Setting
from modelrefresh_jobs.training.memory_fit import Fit
from modelrefresh_jobs.training.step_plan import Course

LOG = logging.getLogger("modelrefresh.jobs")


def of(wanted: TrainInput, start: pathlib.Path, course: Course, *, length: int) -> Fit | None:
    """How it fits, with blocks of `length` tokens; None on CPUs, where nothing is chosen."""
    if not torch.cuda.is_available():
        return None
    card = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    if wanted.gpu_memory:
        card = min(card, quantities.in_bytes(wanted.gpu_memory))
    shape = model_shape.planned(model_config.load(start, model_folder.accept(start).config), wanted)
    asked = Setting(
        zero_stage=wanted.zero_stage,
        cards=course.processes,
        batch_size=course.batch_size,
        sequence_length=length,
    )
    fit = memory_fit.settle(shape, asked, card=card)
    LOG.info("train: %s", memory_words.told(fit))
    return fit
