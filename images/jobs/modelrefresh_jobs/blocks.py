"""The packed blocks as training examples, in an order that depends on seed and step alone.

Example `i` of a run is block `permutation(seed, pass)[i mod blocks]`, so a resumed run meets
the very blocks it would have met, and a run may end within a pass over the data. Examples that
only fill the last step of several processes hold nothing to learn. Positions
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
    """The examples of a run, over as many passes as that takes; those up to `length` are empty."""

    def __init__(self, blocks: packing.Blocks, *, examples: int, length: int, seed: int) -> None:
        self._blocks = blocks
        self._rows, self._sizes = packing.learnable(blocks[1]), packing.tokens(blocks[1])
        self._examples, self._length, self._seed = examples, length, seed
        self._order: tuple[int, packing.Array] = (-1, np.empty(0, np.int64))

    @property
    def sequence_length(self) -> int:
        """Tokens of each block."""
        return int(self._blocks[0].shape[1])

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        tokens, marks = self._blocks
        if index >= self._examples:
            filling = example(tokens[0], marks[0])
            return filling | {"labels": torch.full_like(filling["labels"], IGNORED)}
        turn, place = divmod(index, len(self._rows))
        row = int(self._pass(turn)[place])
        return example(tokens[row], marks[row])

    def tokens(self, examples: int) -> int:
        """Tokens in the first examples of the run; padding and empty examples have none."""
        turn, place = divmod(min(examples, self._examples), len(self._rows))
        return int(turn * self._sizes[self._rows].sum() + self._sizes[self._pass(turn)[:place]].sum())

    def passes(self, examples: int) -> float:
        """How often the first examples of the run meet each block, on average."""
        return min(examples, self._examples) / len(self._rows)

    def _pass(self, turn: int) -> packing.Array:
        if self._order[0] != turn:
            order = np.random.default_rng((self._seed, turn)).permutation(len(self._rows))
            self._order = turn, self._rows[order]
        return self._order[1]


def example(tokens: packing.Array, marks: packing.Array) -> dict[str, torch.Tensor]:
    """One block as model input; nothing is learnt across a boundary or from padding."""
    positions = packing.positions(marks)
    labels = np.where((positions == 0) | (marks == packing.PADDING), IGNORED, tokens)
    arrays = {"input_ids": tokens, "labels": labels, "position_ids": positions}
    return {name: torch.from_numpy(np.asarray(array, dtype=np.int64)) for name, array in arrays.items()}


def collate(examples: list[dict[str, torch.Tensor]]) -> dict[str, Any]:
    """A batch; all blocks have one length."""
    return {name: torch.stack([one[name] for one in examples]) for name in examples[0]}
