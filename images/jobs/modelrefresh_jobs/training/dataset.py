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

from modelrefresh_jobs.corpus import packing

IGNORED = -100
"""Label that the loss leaves out."""


class Blocks(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """The examples of a run, over as many passes as that takes; those up to `length` are empty."""

    def __init__(self, blocks: packing.Blocks, *, examples: int, length: int, seed: int) -> None:
        self._blocks = blocks
        self._rows, self._sizes = packing.learnable(blocks[1]), packing.tokens(blocks[1])
        self._examples, self._length, self._seed = examples, length, seed
        self._whole = int(self._sizes[self._rows].sum())
        self._turn = -1
        self._order = self._sums = np.empty(0, np.int64)

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
        self._begin(turn)
        row = int(self._order[place])
        return example(tokens[row], marks[row])

    def tokens(self, examples: int) -> int:
        """Tokens in the first examples of the run; padding and empty examples have none."""
        turn, place = divmod(min(examples, self._examples), len(self._rows))
        if not place:
            return turn * self._whole
        self._begin(turn)
        return turn * self._whole + int(self._sums[place - 1])

    def passes(self, examples: int) -> float:
        """How often the first examples of the run meet each block, on average."""
        return min(examples, self._examples) / len(self._rows)

    def _begin(self, turn: int) -> None:
        """Make the order of one pass and its running sum of tokens: every step asks for both."""
        if self._turn != turn:
            self._order = self._rows[np.random.default_rng((self._seed, turn)).permutation(len(self._rows))]
            self._turn, self._sums = turn, np.cumsum(self._sizes[self._order])


def example(tokens: packing.Array, marks: packing.Array) -> dict[str, torch.Tensor]:
    """One block as model input; nothing is learnt across a boundary or from padding."""
    positions = packing.positions(marks)
    labels = np.where((positions == 0) | (marks == packing.PADDING), IGNORED, tokens)
    arrays = {"input_ids": tokens, "labels": labels, "position_ids": positions}
    return {name: torch.from_numpy(np.asarray(array, dtype=np.int64)) for name, array in arrays.items()}


def collate(examples: list[dict[str, torch.Tensor]]) -> dict[str, Any]:
    """A batch; all blocks have one length."""
    return {name: torch.stack([one[name] for one in examples]) for name in examples[0]}
