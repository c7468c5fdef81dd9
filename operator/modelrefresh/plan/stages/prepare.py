"""Stage `prepare`: it is also told what later stages will be asked, so that it proves that before a GPU is spent."""

import datetime
from typing import Any

from modelrefresh.api.spec import RefreshSpec
from modelrefresh.api.status.run import Run, StageRecord
from modelrefresh.api.status.stage_facts import PrepareFacts
from modelrefresh.contract.stages.prepare import PrepareInput, PrepareSummary
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.observed import ReadyRefresh
from modelrefresh.plan.stages import merge, shared_inputs, train
from modelrefresh.plan.stages.run_stage import RunStage, Size, UnusableSummaryError


def _ask(ready: ReadyRefresh, run: Run) -> PrepareInput:
    spec = ready.spec
    replay, training = spec.data.replay, spec.training
    unchanged = ready.status.data_fingerprint if ready.status.judged_inputs == run.inputs else None
    return PrepareInput(
        base=shared_inputs.start(ready),
        base_fingerprint=shared_inputs.start_fingerprint(ready),
        data=spec.data.uri,
        text_field=spec.data.text_field,
        sampling=spec.data.sampling,
        replay=replay.uri if replay else None,
        replay_generated=replay.generate if replay else False,
        replay_percent=replay.percent if replay else 0,
        sequence_length=training.sequence_length,
        max_tokens=training.max_tokens,
        seed=training.seed,
        suites=(*shared_inputs.suites(spec.evaluation.suites), *shared_inputs.suites(spec.dev_suites, dev=True)),
        unchanged_fingerprint=unchanged,
        incumbent=shared_inputs.incumbent(ready),
        max_items=spec.evaluation.max_items,
        max_new_tokens=spec.evaluation.max_new_tokens,
        train=train.ask(ready, run),
        merge=merge.ask(ready, run),
    )


def _found(_: StageRecord, summary: PrepareSummary, spec: RefreshSpec) -> dict[str, Any]:
    if summary.newest is not None and not _is_date(summary.newest):
        raise UnusableSummaryError(f"prepare.newest: no date, saw {summary.newest}")
    judging = {suite.name for suite in spec.evaluation.suites}
    most_first = sorted(summary.overlap.items(), key=lambda item: (item[0] not in judging, -item[1], item[0]))
    overlap = [{"suite": suite, "share": share} for suite, share in most_first]
    wrote = f"replay: the model wrote {summary.generated} documents, {summary.replay_tokens} tokens"
    return {"prepare": PrepareFacts.of(summary, overlap=overlap), "message": wrote if summary.generated > 0 else ""}


def _is_date(text: str) -> bool:
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _size(spec: RefreshSpec) -> Size:
    """One GPU, if training has any, for the model that writes its own replay."""
    generates = spec.data.replay is not None and spec.data.replay.generate
    return Size(gpus=min(1, spec.training.gpus_per_node) if generates else 0)


STAGE = RunStage(name=Stage.PREPARE, ask=_ask, found=_found, size=_size, is_cheap=True)
