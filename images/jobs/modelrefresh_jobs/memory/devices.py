"""How a training fits on the GPUs that it finds: whether it recomputes activations, whether it offloads the optimizer.

Decided from the arithmetic of `needs`, before the weights are loaded, alike in every process. What was asked for
(ZeRO stage, micro-batch) stays as it is. Knows torch's devices.
"""

import json
import logging
import os
import pathlib

import torch
from torch.distributed.rendezvous import rendezvous

from modelrefresh.contract import forms
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh_jobs.memory import shapes, ways, words
from modelrefresh_jobs.memory.needs import Setting
from modelrefresh_jobs.memory.ways import Fit
from modelrefresh_jobs.models import model_config, model_folder
from modelrefresh_jobs.process import host_memory
from modelrefresh_jobs.process.errors import StageError

LOG = logging.getLogger("modelrefresh.jobs")


def fit(wanted: TrainInput, start: pathlib.Path, asked: Setting, *, recomputes: bool) -> Fit | None:
    """How it fits in the setting that was asked for; None on CPUs, where nothing is chosen.

    The smallest GPU and the smallest host of all processes decide. `recomputes` has activations recomputed in any case.

    Raises:
        StageError: OutOfMemory, when it surely does not, and its hosts have no room for the optimizer either.
    """
    if not torch.cuda.is_available():
        return None
    device = int(os.environ.get("LOCAL_RANK", "0"))
    memory = torch.cuda.get_device_properties(device).total_memory
    card, host = smallest(memory, host_memory.limit() // wanted.processes_per_node)
    if wanted.gpu_memory:
        card = min(card, forms.in_bytes(wanted.gpu_memory))
    shape = shapes.planned(model_config.load(start, model_folder.accept(start).config), wanted)
    found = ways.settle(shape, asked, card=card, host=host, forced=recomputes)
    wished = ways.settle(shape, asked, card=card, forced=recomputes)
    if found.share > ways.SURE and wished.need.host > host:
        raise StageError(
            StageReason.OUT_OF_MEMORY, words.hostless(found, wished, host=host), exit_code=ExitCode.OUT_OF_MEMORY
        )
    LOG.info("train: %s", words.told(found))
    return found


def smallest(*sizes: int) -> list[int]:
    """The least of each size that the processes of this training say; all of them ask.

    By way of torchrun's store: the processes are not connected yet.
    """
    if "WORLD_SIZE" not in os.environ:
        return list(sizes)
    store, rank, processes = next(rendezvous("env://"))
    store.set(f"sizes-{rank}", json.dumps(sizes))
    said = [json.loads(store.get(f"sizes-{one}")) for one in range(processes)]
    return [min(column) for column in zip(*said, strict=True)]
