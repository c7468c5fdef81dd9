"""The packed blocks as training examples, in an order that depends on seed and step alone.

Example `i` of a run is block `permutation(seed, pass)[i mod blocks]`, so a resumed run meets
the very blocks it would have met, and a run may end within a pass over the data. Positions
restart at each document; transformers reads document boundaries from them and masks
attention across (for every attention implementation, as long as no attention mask is given).
"""

from typing import Any

import numpy as np
import torch

from modelrefresh_jobs import packing

IGNORED = -100
"""Label that the loss leaves out."""


class Blocks(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """As many examples as a run needs, over as many passes as that takes."""

    def __init__(self, blocks: packing.Blocks, *, examples: int, seed: int) -> None:
        self._tokens, self._marks = blocks
        self._examples, self._seed = examples, seed
        self._order: tuple[int, packing.Array] = (-1, np.empty(0, np.int64))

    def __len__(self) -> int:
        return self._examples

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        turn, place = divmod(index, len(self._tokens))
        if self._order[0] != turn:
            self._order = turn, np.random.default_rng((self._seed, turn)).permutation(len(self._tokens))
        row = int(self._order[1][place])
        return example(self._tokens[row], self._marks[row])


def example(tokens: packing.Array, marks: packing.Array) -> dict[str, torch.Tensor]:
    """One block as model input; nothing is learnt across a boundary or from padding."""
    positions = packing.positions(marks)
    labels = np.where((positions == 0) | (marks == packing.PADDING), IGNORED, tokens)
    arrays = {"input_ids": tokens, "labels": labels, "position_ids": positions}
    return {name: torch.from_numpy(np.asarray(array, dtype=np.int64)) for name, array in arrays.items()}


def collate(examples: list[dict[str, torch.Tensor]]) -> dict[str, Any]:
    """A batch; all blocks have one length."""
    return {name: torch.stack([one[name] for one in examples]) for name in examples[0]}
