"""Plan of how the blocks of a run are spread over optimizer steps and processes.

No block is met more often than the passes asked for: where they do not fill the last step it is
smaller, and a batch larger than the whole run becomes as large as that. Several processes must
take part in every step, so what one of them lacks there is filled with empty examples.
"""

import math
from dataclasses import dataclass

from modelrefresh.contract.stages.train import TrainInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How many examples a run has, and how they are spread."""

    examples: int
    """Blocks that the model meets, repetitions included; no empty examples."""
    batch_size: int
    """Examples per process in one forward pass."""
    processes: int
    """Of all nodes."""
    accumulation: int
    """Forward passes per optimizer step."""

    @property
    def per_step(self) -> int:
        """Examples of a full optimizer step, over all processes."""
        return self.batch_size * self.processes * self.accumulation

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run; the last may be smaller."""
        return math.ceil(self.examples / self.per_step)

    @property
    def length(self) -> int:
        """Examples and the empty ones that fill the last forward pass of several processes."""
        together = self.batch_size * self.processes
        return self.examples if self.processes == 1 else math.ceil(self.examples / together) * together


def plan(wanted: TrainInput, *, blocks: int) -> Course:
    """The course of a run over this many learnable blocks: at most the passes asked for, but at least one example."""
    processes = wanted.nodes * wanted.processes_per_node
    examples = max(1, math.floor(round(wanted.epochs * blocks, 6)))
    return Course(
        examples=examples,
        batch_size=min(wanted.batch_size, math.ceil(examples / processes)),
        processes=processes,
        accumulation=wanted.gradient_accumulation,
    )
