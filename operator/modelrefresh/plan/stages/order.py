"""The order of the stages: each starts when the one before it has succeeded."""

from typing import Final

from modelrefresh.api.spec import RefreshSpec
from modelrefresh.api.status.run import StageRecord
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.stages import evaluate, import_, merge, prepare, search, train
from modelrefresh.plan.stages.run_stage import RunStage

FIRST: Final = (import_.STAGE,)
"""What the first run does before all else."""
EACH: Final = (prepare.STAGE, train.STAGE, search.STAGE, merge.STAGE, evaluate.STAGE)
"""What every run does, as far as its spec wants it."""


def records(spec: RefreshSpec, *, is_first: bool) -> tuple[StageRecord, ...]:
    """The stage records of a new run."""
    stages = (*FIRST, *EACH) if is_first else EACH
    return tuple(StageRecord(name=one.name) for one in stages if one.wanted(spec))


def is_cheap(stage: Stage, spec: RefreshSpec) -> bool:
    """Whether the operator tries a failed stage again by itself; never one that takes GPUs for this spec."""
    return any(one.is_cheap and not one.size(spec).gpus for one in (*FIRST, *EACH) if one.name is stage)


def of(stage: Stage) -> RunStage:
    """The stage of a run by its name."""
    for one in (*FIRST, *EACH):
        if one.name is stage:
            return one
    raise LookupError(f"{stage} is no stage of a run")
