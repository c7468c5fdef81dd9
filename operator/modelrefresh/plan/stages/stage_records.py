"""Reading and replacing the stage records of a run."""

from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.api.status.run import Run, StageRecord, StageState
from modelrefresh.contract.vocabulary import Stage


def current(run: Run) -> StageRecord | None:
    """The first stage that has not succeeded, or None when all have."""
    return next((stage for stage in run.stages if stage.state is not StageState.SUCCEEDED), None)


def at_work(status: RefreshStatus) -> tuple[Run, StageRecord] | None:
    """The open run and its stage whose Job is at work."""
    run = status.run
    stage = current(run) if run and run.outcome is None else None
    return (run, stage) if run and stage and stage.at_work else None


def put(run: Run, stage: StageRecord) -> Run:
    """The run with one stage record replaced."""
    return run.evolve(stages=tuple(stage if old.name is stage.name else old for old in run.stages))


def scale(run: Run) -> str | None:
    """Factor of the residual that the run's search chose, or None where there was none."""
    searched = run.record(Stage.SEARCH)
    return searched.search.scale if searched and searched.search else None


def candidate(run: Run) -> str | None:
    """Digest that the run's merge sealed, or None before that."""
    merged = run.record(Stage.MERGE)
    return merged.merge.digest if merged and merged.merge else None
