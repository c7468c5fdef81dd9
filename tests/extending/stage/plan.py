"""Stage `toy`: asked to count to the sequence length; a count beyond it is no result."""

from typing import Any

from modelrefresh.contract.stages.toy import ToyInput, ToySummary  # type: ignore[import-not-found]

from modelrefresh.api.spec import RefreshSpec
from modelrefresh.api.status.run import Run, StageRecord
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.observed import ReadyRefresh
from modelrefresh.plan.stages.run_stage import RunStage, UnusableSummaryError


def _ask(ready: ReadyRefresh, _: Run) -> ToyInput:
    return ToyInput(most=ready.spec.training.sequence_length)


def _found(_: StageRecord, summary: ToySummary, __: RefreshSpec) -> dict[str, Any]:
    if summary.counted < 0:
        raise UnusableSummaryError(f"counted {summary.counted}, expected 0 or more")
    return {}


STAGE = RunStage(name=Stage.TOY, ask=_ask, found=_found, is_cheap=True)  # type: ignore[attr-defined]
