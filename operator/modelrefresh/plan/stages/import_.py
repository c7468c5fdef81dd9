"""Stage `import`: the stock instruct model becomes version zero, in the first run only."""

from typing import Any

from modelrefresh.api.evaluation import Evaluation
from modelrefresh.api.run_status import Run, StageRecord
from modelrefresh.contract.stages.import_ import ImportInput, ImportSummary
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.observed import ReadyRefresh
from modelrefresh.plan.stages.run_stage import RunStage


def _ask(ready: ReadyRefresh, _: Run) -> ImportInput:
    return ImportInput(instruct=ready.residual.instruct)


def _found(_: StageRecord, summary: ImportSummary, __: Evaluation) -> dict[str, Any]:
    return {"digest": summary.digest}


STAGE = RunStage(name=Stage.IMPORT, ask=_ask, found=_found, is_cheap=True)
