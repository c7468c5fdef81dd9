"""The stages of a run: their order, and what each one asks of its Job.

A stage starts when the one before it has succeeded. What may happen to one is `stage_state`'s table, what its
result leaves `stage_results`' matter.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Final

from modelrefresh.api.run_status import Run, StageRecord, StageState
from modelrefresh.api.spec import RefreshSpec
from modelrefresh.api.status import RefreshStatus
from modelrefresh.contract import stage_request
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh.contract.vocabulary import LEARNING_RATES, Stage, Strategy
from modelrefresh.plan.actions import StartStage
from modelrefresh.plan.observed import ReadyRefresh

ORDER: Final = (Stage.PREPARE, Stage.TRAIN, Stage.MERGE, Stage.EVALUATE)
"""Stages of every run; the first run imports the stock model before them."""

CHEAP: Final = frozenset({Stage.EXTRACT, Stage.IMPORT, Stage.PREPARE})
"""Stages without a GPU whose failure the operator tries again by itself, slowly: a mended file is not an event."""


def table(*, with_import: bool) -> tuple[StageRecord, ...]:
    """The stage records of a new run."""
    order = (Stage.IMPORT, *ORDER) if with_import else ORDER
    return tuple(StageRecord(name=name) for name in order)


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


def candidate(run: Run) -> str | None:
    """Digest that the run's merge sealed, or None before that."""
    merged = run.record(Stage.MERGE)
    return merged.merge.digest if merged and merged.merge else None


def asked(ready: ReadyRefresh, stage: StageRecord) -> StageRecord:
    """The record of an attempt that begins now, with what its answer will be held against."""
    return stage.evolve(incumbent=_incumbent(ready) if stage.name is Stage.EVALUATE else None)


def start(ready: ReadyRefresh, run: Run, stage: StageRecord) -> StartStage:
    """The action that starts the next attempt of a stage."""
    training = ready.spec.training
    gpus = training.gpus_per_node if stage.name in (Stage.TRAIN, Stage.EVALUATE) else 0
    request = StageRequest(
        stage=stage.name,
        owner=ready.meta.name,
        run=run.id,
        attempt=stage.attempt,
        allowed=ready.profile.allowed_sources,
    )
    return StartStage(
        request=_SECTIONS[stage.name](ready, run, request),
        profile=ready.profile_hash,
        gpus=min(gpus, 1) if stage.name is Stage.EVALUATE else gpus,
        nodes=training.nodes if stage.name is Stage.TRAIN else 1,
    )


def _import(ready: ReadyRefresh, _: Run, request: StageRequest) -> StageRequest:
    return dataclasses.replace(request, import_=stage_request.ImportInput(instruct=ready.residual.instruct))


def _prepare(ready: ReadyRefresh, run: Run, request: StageRequest) -> StageRequest:
    spec = ready.spec
    replay, training = spec.data.replay, spec.training
    unchanged = ready.status.data_fingerprint if ready.status.judged_inputs == run.inputs else None
    return dataclasses.replace(
        request,
        prepare=stage_request.PrepareInput(
            base=_start(ready),
            base_fingerprint=_fingerprint(ready),
            data=spec.data.uri,
            text_field=spec.data.text_field,
            sampling=spec.data.sampling,
            replay=replay.uri if replay else None,
            replay_percent=replay.percent if replay else 0,
            sequence_length=training.sequence_length,
            max_tokens=training.max_tokens,
            seed=training.seed,
            suites=_suites(spec),
            unchanged_fingerprint=unchanged,
            residual=ready.residual_digest,
            incumbent=_incumbent(ready),
            max_items=spec.evaluation.max_items,
            max_new_tokens=spec.evaluation.max_new_tokens,
            train=_train(ready, run, request).train,
        ),
    )


def _train(ready: ReadyRefresh, _: Run, request: StageRequest) -> StageRequest:
    training = ready.spec.training
    return dataclasses.replace(
        request,
        train=stage_request.TrainInput(
            start=_start(ready),
            start_fingerprint=_fingerprint(ready),
            method=training.method,
            learning_rate=float(training.learning_rate or LEARNING_RATES[training.method]),
            sequence_length=training.sequence_length,
            epochs=float(training.epochs),
            batch_size=training.batch_size,
            gradient_accumulation=training.gradient_accumulation,
            warmup_ratio=float(training.warmup_ratio),
            learning_rate_schedule=training.learning_rate_schedule,
            lora_rank=training.lora.rank,
            lora_alpha=training.lora.alpha,
            lora_embeddings=training.lora.embeddings,
            zero_stage=training.zero_stage,
            nodes=training.nodes,
            processes_per_node=max(1, training.gpus_per_node),
            checkpoint_seconds=training.checkpoint_seconds,
            seed=training.seed,
        ),
    )


def _merge(ready: ReadyRefresh, _: Run, request: StageRequest) -> StageRequest:
    spec = ready.spec
    return dataclasses.replace(
        request,
        merge=stage_request.MergeInput(
            start=_start(ready),
            strategy=spec.training.strategy,
            residual=ready.residual_digest,
            scale=float(spec.residual.scale),
        ),
    )


def _evaluate(ready: ReadyRefresh, run: Run, request: StageRequest) -> StageRequest:
    spec = ready.spec
    digest = candidate(run)
    assert digest is not None  # noqa: S101 -- merge has succeeded before
    return dataclasses.replace(
        request,
        evaluate=stage_request.EvaluateInput(
            candidate=digest,
            incumbent=_incumbent(ready),
            suites=_suites(spec),
            max_items=spec.evaluation.max_items,
            max_new_tokens=spec.evaluation.max_new_tokens,
        ),
    )


_SECTIONS: Final[Mapping[Stage, Callable[[ReadyRefresh, Run, StageRequest], StageRequest]]] = {
    Stage.IMPORT: _import,
    Stage.PREPARE: _prepare,
    Stage.TRAIN: _train,
    Stage.MERGE: _merge,
    Stage.EVALUATE: _evaluate,
}


def _start(ready: ReadyRefresh) -> str:
    """What training starts from (arXiv 2410.10739): the base in Setting 2, the instruct model in Setting 1."""
    direct = ready.spec.training.strategy is Strategy.DIRECT
    return ready.residual.instruct if direct else ready.spec.base.uri


def _fingerprint(ready: ReadyRefresh) -> str | None:
    direct = ready.spec.training.strategy is Strategy.DIRECT
    return ready.residual.instruct_fingerprint if direct else ready.residual.base_fingerprint


def _incumbent(ready: ReadyRefresh) -> str | None:
    return ready.status.live.digest if ready.status.live else None


def _suites(spec: RefreshSpec) -> tuple[stage_request.SuiteInput, ...]:
    return tuple(
        stage_request.SuiteInput(name=suite.name, uri=suite.uri, task=suite.task) for suite in spec.evaluation.suites
    )
