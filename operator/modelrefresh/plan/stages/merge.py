"""Stage `merge`: the referenced residual is added to what was trained."""

from typing import Any

from modelrefresh.api.evaluation import Evaluation
from modelrefresh.api.run_status import Run, StageRecord
from modelrefresh.api.stage_facts import MergeFacts
from modelrefresh.contract.stages.merge import MergeInput, MergeSummary
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.observed import ReadyRefresh
from modelrefresh.plan.stages import shared_inputs
from modelrefresh.plan.stages.run_stage import RunStage


def _ask(ready: ReadyRefresh, _: Run) -> MergeInput:
    return MergeInput(
        start=shared_inputs.start(ready),
        strategy=ready.spec.training.strategy,
        residual=ready.residual_digest,
        scale=float(ready.spec.residual.scale),
    )


def _found(_: StageRecord, summary: MergeSummary, __: Evaluation) -> dict[str, Any]:
    return {"digest": summary.digest, "merge": MergeFacts.of(summary)}


STAGE = RunStage(name=Stage.MERGE, ask=_ask, found=_found)
