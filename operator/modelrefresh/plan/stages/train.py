"""Stage `train`: the spec's training in the words of the stage."""

from typing import Any

from modelrefresh.api.spec import RefreshSpec
from modelrefresh.api.status.run import Run, StageRecord
from modelrefresh.api.status.stage_facts import TrainFacts
from modelrefresh.contract import defaults
from modelrefresh.contract.stages.train import TrainInput, TrainSummary
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.observed import ReadyRefresh
from modelrefresh.plan.stages import shared_inputs
from modelrefresh.plan.stages.run_stage import RunStage, Size


def ask(ready: ReadyRefresh, _: Run) -> TrainInput:
    """What training will be asked; `prepare` is told it too."""
    training = ready.spec.training
    return TrainInput(
        start=shared_inputs.start(ready),
        start_fingerprint=shared_inputs.start_fingerprint(ready),
        method=training.method,
        learning_rate=float(training.learning_rate or defaults.LEARNING_RATES[training.method]),
        sequence_length=training.sequence_length,
        epochs=float(training.epochs),
        batch_size=training.batch_size,
        gradient_accumulation=training.gradient_accumulation,
        warmup_ratio=float(training.warmup_ratio),
        learning_rate_schedule=training.learning_rate_schedule,
        min_learning_rate_ratio=_decimal(training.min_learning_rate_ratio),
        decay_ratio=_decimal(training.decay_ratio),
        lora_rank=training.lora.rank,
        lora_alpha=training.lora.alpha,
        lora_embeddings=training.lora.embeddings,
        zero_stage=training.zero_stage,
        nodes=training.nodes,
        processes_per_node=max(1, training.gpus_per_node),
        gpu_memory=ready.profile.gpu_memory if training.gpus_per_node else None,
        checkpoint_seconds=training.checkpoint_seconds,
        stall_seconds=training.stall_seconds,
        seed=training.seed,
    )


def _decimal(text: str | None) -> float | None:
    return None if text is None else float(text)


def _found(_: StageRecord, summary: TrainSummary, __: RefreshSpec) -> dict[str, Any]:
    return {"train": TrainFacts.of(summary)}


def _size(spec: RefreshSpec) -> Size:
    return Size(gpus=spec.training.gpus_per_node, nodes=spec.training.nodes)


STAGE = RunStage(name=Stage.TRAIN, ask=ask, found=_found, size=_size)
