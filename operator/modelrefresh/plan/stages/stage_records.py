"""The stages of a run: their order, what each one asks of its Job, what its result leaves.

The whole transition table of a run stands here: a stage starts when the one before it has
succeeded, and its result is recorded once, from the Job's own answer.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Final

from modelrefresh.api.run_status import Run, StageRecord, StageState
from modelrefresh.api.spec import RefreshSpec
from modelrefresh.api.status import RefreshStatus
from modelrefresh.contract import stage_request
from modelrefresh.contract.stage_request import StageInput
from modelrefresh.contract.vocabulary import LEARNING_RATES, Stage, Strategy
from modelrefresh.plan.actions import StartStage
from modelrefresh.plan.observed import Work

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
    return run.but(stages=tuple(stage if old.name is stage.name else old for old in run.stages))


def candidate(run: Run) -> str | None:
    """Digest that the run's merge sealed, or None before that."""
    merged = run.record(Stage.MERGE)
    return merged.merge.digest if merged and merged.merge else None


def asked(work: Work, stage: StageRecord) -> StageRecord:
    """The record of an attempt that begins now, with what its answer will be held against."""
    return stage.but(incumbent=_incumbent(work) if stage.name is Stage.EVALUATE else None)


def start(work: Work, run: Run, stage: StageRecord) -> StartStage:
    """The action that starts the next attempt of a stage."""
    training = work.spec.training
    gpus = training.gpus_per_node if stage.name in (Stage.TRAIN, Stage.EVALUATE) else 0
    request = StageInput(
        stage=stage.name,
        owner=work.meta.name,
        run=run.id,
        attempt=stage.attempt,
        allowed=work.profile.allowed_sources,
    )
    return StartStage(
        request=_SECTIONS[stage.name](work, run, request),
        profile=work.profile_hash,
        gpus=min(gpus, 1) if stage.name is Stage.EVALUATE else gpus,
        nodes=training.nodes if stage.name is Stage.TRAIN else 1,
    )


def _import(work: Work, _: Run, request: StageInput) -> StageInput:
    return dataclasses.replace(request, import_=stage_request.ImportInput(instruct=work.residual.instruct))


def _prepare(work: Work, run: Run, request: StageInput) -> StageInput:
    spec = work.spec
    replay, training = spec.data.replay, spec.training
    unchanged = work.status.data_fingerprint if work.status.judged_inputs == run.inputs else None
    return dataclasses.replace(
        request,
        prepare=stage_request.PrepareInput(
            base=_start(work),
            base_fingerprint=_fingerprint(work),
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
            residual=work.residual_digest,
            incumbent=_incumbent(work),
            max_items=spec.evaluation.max_items,
            max_new_tokens=spec.evaluation.max_new_tokens,
            train=_train(work, run, request).train,
        ),
    )


def _train(work: Work, _: Run, request: StageInput) -> StageInput:
    training = work.spec.training
    return dataclasses.replace(
        request,
        train=stage_request.TrainInput(
            start=_start(work),
            start_fingerprint=_fingerprint(work),
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


def _merge(work: Work, _: Run, request: StageInput) -> StageInput:
    spec = work.spec
    return dataclasses.replace(
        request,
        merge=stage_request.MergeInput(
            start=_start(work),
            strategy=spec.training.strategy,
            residual=work.residual_digest,
            scale=float(spec.residual.scale),
        ),
    )


def _evaluate(work: Work, run: Run, request: StageInput) -> StageInput:
    spec = work.spec
    digest = candidate(run)
    assert digest is not None  # noqa: S101 -- merge has succeeded before
    return dataclasses.replace(
        request,
        evaluate=stage_request.EvaluateInput(
            candidate=digest,
            incumbent=_incumbent(work),
            suites=_suites(spec),
            max_items=spec.evaluation.max_items,
            max_new_tokens=spec.evaluation.max_new_tokens,
        ),
    )


_SECTIONS: Final[Mapping[Stage, Callable[[Work, Run, StageInput], StageInput]]] = {
    Stage.IMPORT: _import,
    Stage.PREPARE: _prepare,
    Stage.TRAIN: _train,
    Stage.MERGE: _merge,
    Stage.EVALUATE: _evaluate,
}


def _start(work: Work) -> str:
    """What training starts from (arXiv 2410.10739): the base in Setting 2, the instruct model in Setting 1."""
    direct = work.spec.training.strategy is Strategy.DIRECT
    return work.residual.instruct if direct else work.spec.base.uri


def _fingerprint(work: Work) -> str | None:
    direct = work.spec.training.strategy is Strategy.DIRECT
    return work.residual.instruct_fingerprint if direct else work.residual.base_fingerprint


def _incumbent(work: Work) -> str | None:
    return work.status.live.digest if work.status.live else None


def _suites(spec: RefreshSpec) -> tuple[stage_request.SuiteInput, ...]:
    return tuple(
        stage_request.SuiteInput(name=suite.name, uri=suite.uri, task=suite.task) for suite in spec.evaluation.suites
    )
