"""Which kernel keeps the documents of a block from attending to each other, and the form of batch that it wants.

Flash attention's kernels of varying length compute within each document only; they are taken where flash-attn is
installed and the GPU has them. Everywhere else torch's attention gets a mask over the whole block, which transformers
makes from the positions: the same result, at the price of all that is masked. Knows no model.
"""

import logging
from collections.abc import Callable
from typing import Any

import torch
from transformers.utils import is_flash_attn_2_available, is_flash_attn_3_available

from modelrefresh_jobs.training import dataset

LOG = logging.getLogger("modelrefresh.jobs")
_AMPERE, _HOPPER = 8, 9
"""Generations of GPUs from which flash attention 2, and for which 3, has kernels."""


def kernel() -> str | None:
    """Name of the kernel of varying length in transformers, None where there is none."""
    if not torch.cuda.is_available():
        return None
    generation, _ = torch.cuda.get_device_capability()
    if generation == _HOPPER and is_flash_attn_3_available():
        return "flash_attention_3"
    return "flash_attention_2" if generation >= _AMPERE and is_flash_attn_2_available() else None


def collator(kernel: str | None) -> Callable[[list[dict[str, torch.Tensor]]], dict[str, Any]]:
    """What makes a batch of examples for this kernel; says in the log which way is taken."""
    way = f"by {kernel}, each by itself" if kernel else "by a mask over each block, as there is no flash-attn for a GPU"
    LOG.info("train: the documents of a block are kept apart %s", way)
    return dataset.flatten if kernel else dataset.collate
