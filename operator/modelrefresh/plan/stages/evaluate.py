"""Stage `evaluate`: candidate and incumbent on the owner's suites; its scores are judged as they are recorded."""

import dataclasses
from typing import Any

from modelrefresh.api.spec import RefreshSpec
from modelrefresh.api.status.run import Run, StageRecord
from modelrefresh.api.status.stage_facts import EvaluateFacts
from modelrefresh.contract.stages.evaluate import EvaluateInput, EvaluateSummary
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.judging import gates
from modelrefresh.plan.observed import ReadyRefresh
from modelrefresh.plan.stages import shared_inputs, stage_records
from modelrefresh.plan.stages.run_stage import RunStage, Size, UnusableSummaryError


def _ask(ready: ReadyRefresh, run: Run) -> EvaluateInput:
    evaluation, digest = ready.spec.evaluation, stage_records.candidate(run)
    assert digest is not None  # noqa: S101 -- merge has succeeded before
    return EvaluateInput(
        candidate=digest,
        incumbent=shared_inputs.incumbent(ready),
        suites=shared_inputs.suites(evaluation.suites),
        max_items=evaluation.max_items,
        max_new_tokens=evaluation.max_new_tokens,
    )


def _note(asked: EvaluateInput) -> dict[str, Any]:
    return {"incumbent": asked.incumbent}


def _found(record: StageRecord, summary: EvaluateSummary, spec: RefreshSpec) -> dict[str, Any]:
    if record.incumbent is not None and summary.incumbent != record.incumbent:
        saw = summary.incumbent or "nothing"
        raise UnusableSummaryError(f"the candidate was compared with {saw}, expected {record.incumbent}")
    verdicts = [dataclasses.asdict(verdict) for verdict in gates.judge(spec.evaluation, summary.scores)]
    return {"digest": summary.candidate, "evaluate": EvaluateFacts.of(summary, verdicts=verdicts)}


def _size(spec: RefreshSpec) -> Size:
    return Size(gpus=min(spec.training.gpus_per_node, 1))


STAGE = RunStage(name=Stage.EVALUATE, ask=_ask, found=_found, note=_note, size=_size)
