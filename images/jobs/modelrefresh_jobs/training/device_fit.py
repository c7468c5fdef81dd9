"""How a training fits on the GPUs that it finds: whether it recomputes activations, whether it offloads the optimizer.

Decided from the arithmetic of `memory`, before the weights are loaded, alike in every process. What was asked for
(ZeRO stage, micro-batch) stays as it is. Knows torch's devices.
"""

import logging
import os
import pathlib

import torch
from torch.distributed.rendezvous import rendezvous

from modelrefresh.contract import quantities
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh_jobs.models import model_config, model_folder
from modelrefresh_jobs.training import memory_fit, memory_words, model_shape
from modelrefresh_jobs.training.memory import Setting
from modelrefresh_jobs.training.memory_fit import Fit
from modelrefresh_jobs.training.step_plan import Course

LOG = logging.getLogger("modelrefresh.jobs")


def of(wanted: TrainInput, start: pathlib.Path, course: Course, *, length: int, recomputes: bool) -> Fit | None:
    """How it fits, with blocks of `length` tokens; None on CPUs, where nothing is chosen.

    The smallest GPU of all processes decides. `recomputes` has activations recomputed in any case.
    """
    if not torch.cuda.is_available():
        return None
    device = int(os.environ.get("LOCAL_RANK", "0"))
    card = smallest(torch.cuda.get_device_properties(device).total_memory)
    if wanted.gpu_memory:
        card = min(card, quantities.in_bytes(wanted.gpu_memory))
    shape = model_shape.planned(model_config.load(start, model_folder.accept(start).config), wanted)
    asked = Setting(
        zero_stage=wanted.zero_stage,
        cards=course.processes,
        batch_size=course.batch_size,
        sequence_length=length,
    )
    fit = memory_fit.settle(shape, asked, card=card, forced=recomputes)
    LOG.info("train: %s", memory_words.told(fit))
    return fit


def smallest(card: int) -> int:
    """The least of what the processes of this training say; all of them ask.

    By way of torchrun's store: the processes are not connected yet.
    """
    if "WORLD_SIZE" not in os.environ:
        return card
    store, rank, processes = next(rendezvous("env://"))
    store.set(f"card-{rank}", str(card))
    return min(int(store.get(f"card-{other}")) for other in range(processes))
