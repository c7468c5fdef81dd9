"""Stage `import`: what serves before the first candidate becomes version zero, in the first run only."""

from typing import Any

from modelrefresh.api.rollout import Stock
from modelrefresh.api.spec import RefreshSpec
from modelrefresh.api.status.run import Run, StageRecord
from modelrefresh.contract.stages.import_ import ImportInput, ImportSummary
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.observed import ReadyRefresh
from modelrefresh.plan.stages import merge
from modelrefresh.plan.stages.run_stage import RunStage


def _ask(ready: ReadyRefresh, _: Run) -> ImportInput:
    if ready.spec.rollout.stock is Stock.TRANSFERRED:
        return ImportInput(transferred=merge.untrained(ready))
    return ImportInput(instruct=ready.residual.instruct)


def _note(asked: ImportInput) -> dict[str, Any]:
    return {"transferred": asked.transferred is not None}


def is_outdated(ready: ReadyRefresh, run: Run) -> bool:
    """Whether the run makes, or has made and not registered, another version zero than the spec wants now."""
    record, wanted = run.record(Stage.IMPORT), ready.spec.rollout.stock
    if record is None or ready.status.stock is not None:
        return False
    return wanted is Stock.NONE or record.transferred is (wanted is not Stock.TRANSFERRED)


def _wanted(spec: RefreshSpec) -> bool:
    return spec.rollout.stock is not Stock.NONE


def _found(_: StageRecord, summary: ImportSummary, __: RefreshSpec) -> dict[str, Any]:
    return {"digest": summary.digest}


STAGE = RunStage(name=Stage.IMPORT, ask=_ask, found=_found, note=_note, wanted=_wanted, is_cheap=True)
