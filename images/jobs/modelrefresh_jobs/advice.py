"""What experience says against a refresh that nothing forbids: said in its first cheap stage, once.

Warnings for the model owner, who may know better. Refuses to refuse anything.
"""

from collections.abc import Iterator

from modelrefresh.contract.stages.prepare import PrepareInput
from modelrefresh.contract.vocabulary import Method
from modelrefresh_jobs.models.families import Family

SMALL = 1_500_000_000
"""Weights up to which the authors of the method call its gain unreliable (arXiv 2410.10739, limitations)."""


def given(wanted: PrepareInput, *, parameters: int, family: Family) -> Iterator[str]:
    """A sentence for each thing to think about; `parameters` is the number of weights of the start."""
    if family.lora and wanted.train and wanted.train.method is Method.LORA:
        yield f"{wanted.base} {family.lora_leaves}"
    if parameters <= SMALL:
        yield (
            f"{wanted.base} has {parameters:,} weights; with at most {SMALL / 1e9:g} billion the "
            "method is unreliable: trust the gates, and give them a suite of retained knowledge"
        )
    if wanted.replay is None and not wanted.replay_generated:
        yield (
            "no data.replay: without some general text among the new the model forgets more of what it knew; "
            "5 to 10 percent is usual"
        )
