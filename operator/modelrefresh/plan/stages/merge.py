"""Stage `merge`: the referenced residuals are added to what was trained."""

import dataclasses
from typing import Any

from modelrefresh.api.spec import RefreshSpec
from modelrefresh.api.status.run import Run, StageRecord
from modelrefresh.api.status.stage_facts import MergeFacts
from modelrefresh.contract.stages.merge import AddedResidual, MergeInput, MergeSummary, TensorScale
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.observed import ReadyRefresh
from modelrefresh.plan.stages import shared_inputs, stage_records
from modelrefresh.plan.stages.run_stage import RunStage


def ask(ready: ReadyRefresh, run: Run) -> MergeInput:
    """What merge will be asked, as far as it is known: `prepare` and `search` are told it too."""
    average, incumbent = ready.spec.average, shared_inputs.incumbent(ready)
    averaged = average is not None and incumbent is not None
    return dataclasses.replace(
        untrained(ready),
        start=shared_inputs.start(ready),
        strategy=ready.spec.training.strategy,
        scale=float(stage_records.scale(run) or ready.spec.residual.scale),
        previous=incumbent if averaged else None,
        previous_share=float(average.previous) if average and averaged else None,
    )


def untrained(ready: ReadyRefresh) -> MergeInput:
    """The base with all residuals, averaged with nothing."""
    spec = ready.spec
    return MergeInput(
        start=spec.base.uri,
        residual=ready.residual_digest,
        scale=float(spec.residual.scale),
        scales=tuple(TensorScale(tensors=one.tensors, scale=float(one.scale)) for one in spec.residual.scales),
        transfer=spec.residual_ref.transfer,
        added=tuple(
            AddedResidual(residual=digest, scale=float(one.scale), transfer=one.transfer)
            for one, digest in zip(spec.residuals, ready.added, strict=True)
        ),
    )


def _note(asked: MergeInput) -> dict[str, Any]:
    return {"incumbent": asked.previous}


def _found(_: StageRecord, summary: MergeSummary, __: RefreshSpec) -> dict[str, Any]:
    return {"digest": summary.digest, "merge": MergeFacts.of(summary)}


STAGE = RunStage(name=Stage.MERGE, ask=ask, found=_found, note=_note)
