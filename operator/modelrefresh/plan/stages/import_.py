"""Stage `import`: what serves before the first candidate becomes version zero, in the first run only."""

from typing import Any

from modelrefresh.api.rollout import Stock
from modelrefresh.api.run_status import Run, StageRecord
from modelrefresh.api.spec import RefreshSpec
from modelrefresh.contract.stages.import_ import ImportInput, ImportSummary
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.observed import ReadyRefresh
from modelrefresh.plan.stages import merge
from modelrefresh.plan.stages.run_stage import RunStage


def _ask(ready: ReadyRefresh, _: Run) -> ImportInput:
    if ready.spec.rollout.stock is Stock.TRANSFERRED:
        return ImportInput(transferred=merge.untrained(ready))
    return ImportInput(instruct=ready.residual.instruct)


def _wanted(spec: RefreshSpec) -> bool:
    return spec.rollout.stock is not Stock.NONE


def _found(_: StageRecord, summary: ImportSummary, __: RefreshSpec) -> dict[str, Any]:
    return {"digest": summary.digest}


STAGE = RunStage(name=Stage.IMPORT, ask=_ask, found=_found, wanted=_wanted, is_cheap=True)
