"""What was averaged or compared with a version that no longer serves is done again, before more is built on it."""

import datetime
import itertools

from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.run import Run, StageRecord, StageState
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.actions import Plan, RefreshPlan, StatusSummary
from modelrefresh.plan.attempts import stage_state
from modelrefresh.plan.attempts.stage_state import StageEvent
from modelrefresh.plan.observed import ReadyRefresh
from modelrefresh.plan.stages import stage_records


def repeat(ready: ReadyRefresh, _: datetime.datetime) -> RefreshPlan | None:
    """The live version changed since a finished stage of the open run was asked with it."""
    run = ready.status.run
    if run is None or run.outcome is not None or stage_records.at_work(ready.status):
        return None
    outdated = _outdated(ready, run)
    if not outdated:
        return None
    for stage in outdated:
        again = stage_state.move(
            stage, StageEvent.REPEAT, search=None, merge=None, evaluate=None, digest=None, end_time=None
        )
        run = stage_records.put(run, again)
    # Another sum is another candidate.
    candidate = ready.status.candidate if stage_records.candidate(run) else None
    what = "measuring against it" if candidate else "averaging with it"
    summary = StatusSummary(reason=Reason.RUNNING, message=f"the live version changed; {what}", reconciling=True)
    return Plan(status=ready.status.evolve(run=run, candidate=candidate), summary=summary, requeue_after_seconds=0.0)


def _outdated(ready: ReadyRefresh, run: Run) -> tuple[StageRecord, ...]:
    """The first finished stage that was asked with another version than serves now, and all that followed it.

    Evaluate compares with what serves; where the spec has an average, search and merge have averaged with it.
    """
    live = ready.status.live.digest if ready.status.live else None
    stages = (Stage.SEARCH, Stage.MERGE, Stage.EVALUATE) if ready.spec.average else (Stage.EVALUATE,)
    records = (record for stage in stages if (record := run.record(stage)) is not None)
    done = (record for record in records if record.state is StageState.SUCCEEDED)
    return tuple(itertools.dropwhile(lambda record: _asked_with(record) == live, done))


def _asked_with(record: StageRecord) -> str | None:
    return record.evaluate.incumbent if record.evaluate else record.incumbent
