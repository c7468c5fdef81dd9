"""Whether a training can fit into the GPUs that it will get, proven before they are taken. Knows no devices."""

import logging

import torch

from modelrefresh.contract import forms
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh_jobs.memory import shapes, ways, words
from modelrefresh_jobs.memory.needs import Setting
from modelrefresh_jobs.memory.ways import Fit
from modelrefresh_jobs.process.errors import StageError

LOG = logging.getLogger("modelrefresh.jobs")


def prove(model: torch.nn.Module, wanted: TrainInput, *, length: int) -> Fit | None:
    """How the model, with its adapters, will fit in blocks of `length` tokens; None where the memory is not known.

    Raises:
        StageError: InvalidSpec, when it surely does not; with the parts, and what to change.
    """
    if not wanted.gpu_memory:
        LOG.info("prepare: no gpuMemory in the profile, so whether training fits into GPUs is not looked at")
        return None
    shape, card = shapes.of(model), forms.in_bytes(wanted.gpu_memory)
    asked = Setting(
        zero_stage=wanted.zero_stage,
        cards=wanted.nodes * wanted.processes_per_node,
        batch_size=wanted.batch_size,
        sequence_length=length,
    )
    fit = ways.settle(shape, asked, card=card)
    if fit.share > ways.SURE:
        sequences = wanted.batch_size * wanted.gradient_accumulation
        better = ways.choose(shape, cards=asked.cards, card=card, sequences=sequences, length=length)
        fewest = ways.fewest(shape, card=card, sequences=sequences, length=length)
        message = f"spec.training does not fit into its {asked.cards} GPUs with {words.means(fit)}"
        hint = words.advice(better, fewest)
        raise StageError(StageReason.INVALID_SPEC, f"{message}: it takes {words.needed(fit)}; {hint}")
    LOG.info("prepare: training takes %s", words.told(fit))
    return fit


def doubts(fit: Fit) -> str | None:
    """What a person should know of a training that may fit."""
    if not fit.fits:
        return f"training may run out of GPU memory: {words.told(fit)}; lower batchSize to be sure"
    if fit.setting.offload:
        return f"training waits for the host at each step: {words.told(fit)}; more GPUs need no offload"
    return None
