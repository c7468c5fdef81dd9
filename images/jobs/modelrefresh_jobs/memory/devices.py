"""How a training fits on the GPUs that it finds: whether it recomputes activations, whether it offloads the optimizer.

Decided from the arithmetic of `needs`, before the weights are loaded, alike in every process. What was asked for
(ZeRO stage, micro-batch) stays as it is. Knows torch's devices.
"""

import logging
import os
import pathlib

import torch
from torch.distributed.rendezvous import rendezvous

from modelrefresh.contract import quantities
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh_jobs.memory import shapes, ways, words
from modelrefresh_jobs.memory.needs import Setting
from modelrefresh_jobs.memory.ways import Fit
from modelrefresh_jobs.models import model_config, model_folder

LOG = logging.getLogger("modelrefresh.jobs")


def fit(wanted: TrainInput, start: pathlib.Path, asked: Setting, *, recomputes: bool) -> Fit | None:
    """How it fits in the setting that was asked for; None on CPUs, where nothing is chosen.

    The smallest GPU of all processes decides. `recomputes` has activations recomputed in any case.
    """
    if not torch.cuda.is_available():
        return None
    device = int(os.environ.get("LOCAL_RANK", "0"))
    card = smallest(torch.cuda.get_device_properties(device).total_memory)
    if wanted.gpu_memory:
        card = min(card, quantities.in_bytes(wanted.gpu_memory))
    shape = shapes.planned(model_config.load(start, model_folder.accept(start).config), wanted)
    found = ways.settle(shape, asked, card=card, forced=recomputes)
    LOG.info("train: %s", words.told(found))
    return found


def smallest(card: int) -> int:
    """The least of what the processes of this training say; all of them ask.

    By way of torchrun's store: the processes are not connected yet.
    """
    if "WORLD_SIZE" not in os.environ:
        return card
    store, rank, processes = next(rendezvous("env://"))
    store.set(f"card-{rank}", str(card))
    return min(int(store.get(f"card-{other}")) for other in range(processes))
