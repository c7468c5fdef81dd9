"""Packed blocks as training examples, in an order that depends on seed and step alone.

Example `i` of a run is block `permutation(seed, pass)[i mod blocks]`, so a resumed run meets the blocks it would
have met, and a run may end within a pass. Empty examples, which fill the last step of several processes, have no
labels. Positions restart at each document; transformers reads document boundaries from them and masks attention
across, as long as no attention mask is given; flash attention wants a flat batch. Array suffixes: b blocks,
l tokens of a block, d documents of a batch.
"""

from typing import Any

import numpy as np
import torch

from modelrefresh_jobs.corpus import packing

IGNORED = -100
"""Label of positions that the loss leaves out."""


class Blocks(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """The `examples` of a run, over as many passes as that takes, then empty ones up to `length`.

    `examples`, `length` and indices count examples, one block each; a pass meets every learnable block once.
    """

    def __init__(self, blocks: packing.Blocks, *, examples: int, length: int, seed: int) -> None:
        self._blocks = blocks
        self._rows, self._sizes = packing.learnable(blocks[1]), packing.tokens(blocks[1])
        self._examples, self._length, self._seed = examples, length, seed
        self._tokens_per_pass = int(self._sizes[self._rows].sum())
        self._pass = -1
        self._order = self._sums = np.empty(0, np.int64)

    @property
    def sequence_length(self) -> int:
        """Tokens of each block."""
        return int(self._blocks[0].shape[1])

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        tokens_bl, marks_bl = self._blocks
        if index >= self._examples:
            filling = example(tokens_bl[0], marks_bl[0])
            return filling | {"labels": torch.full_like(filling["labels"], IGNORED)}
        number, place = divmod(index, len(self._rows))
        self._order_pass(number)
        row = int(self._order[place])
        return example(tokens_bl[row], marks_bl[row])

    def tokens(self, examples: int) -> int:
        """Tokens in the first `examples` examples of the run; padding and empty examples have none."""
        number, place = divmod(min(examples, self._examples), len(self._rows))
        if not place:
            return number * self._tokens_per_pass
        self._order_pass(number)
        return number * self._tokens_per_pass + int(self._sums[place - 1])

    def passes(self, examples: int) -> float:
        """How often the first `examples` examples of the run meet each learnable block, on average."""
        return min(examples, self._examples) / len(self._rows)

    def _order_pass(self, number: int) -> None:
        """Make the order of a pass, from 0, and its running sum of tokens; both are kept until the next pass."""
        if self._pass != number:
            self._order = self._rows[np.random.default_rng((self._seed, number)).permutation(len(self._rows))]
            self._pass, self._sums = number, np.cumsum(self._sizes[self._order])


def example(tokens_l: packing.Array, marks_l: packing.Array) -> dict[str, torch.Tensor]:
    """One block as `input_ids`, `labels` and `position_ids`, each `[length]`, int64.

    Labels stand at their own token (the model shifts them) and are `IGNORED` at position 0 and at padding.
    """
    positions_l = packing.positions(marks_l)
    labels_l = np.where((positions_l == 0) | (marks_l == packing.PADDING), IGNORED, tokens_l)
    arrays = {"input_ids": tokens_l, "labels": labels_l, "position_ids": positions_l}
    return {name: torch.from_numpy(np.asarray(array, dtype=np.int64)) for name, array in arrays.items()}


def collate(examples: list[dict[str, torch.Tensor]]) -> dict[str, Any]:
    """A batch of examples of one length: each tensor `[batch, length]`, int64."""
    return {name: torch.stack([one[name] for one in examples]) for name in examples[0]}


def flatten(examples: list[dict[str, torch.Tensor]]) -> dict[str, Any]:
    """The same batch as one row, `[1, batch * length]`, with what kernels of varying length want to know.

    `cu_seq_lens_q` and `_k` are the bounds of the documents, `[documents + 1]`, int32; padding counts as one.
    """
    row = {name: torch.cat([one[name] for one in examples]).unsqueeze(0) for name in examples[0]}
    starts_d = torch.nonzero(row["position_ids"][0] == 0).flatten()
    bounds_d = torch.cat([starts_d, torch.tensor([row["position_ids"].shape[1]])]).to(torch.int32)
    longest = int(bounds_d.diff().max())
    bounds = {"cu_seq_lens_q": bounds_d, "cu_seq_lens_k": bounds_d}
    return {**row, **bounds, "max_length_q": longest, "max_length_k": longest}
