"""One process's share of a training run: Hugging Face Trainer, with DeepSpeed where asked.

The same in the stage's own process and in each process that torchrun starts. Resumes from the newest whole
checkpoint; the trained weights are sealed as `model/`: a full checkpoint or a PEFT adapter. Knows nothing of how
processes are started or how the stage's result is recorded.
"""

import logging
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import safetensors
import torch
import transformers
from peft import PeftModel
from transformers import PreTrainedModel, Trainer, TrainerState

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.train import TrainInput, TrainSummary
from modelrefresh.contract.vocabulary import Method
from modelrefresh_jobs.corpus import packing
from modelrefresh_jobs.memory import devices, recomputation
from modelrefresh_jobs.memory.needs import Setting
from modelrefresh_jobs.models import model_folder
from modelrefresh_jobs.process import abrupt_end, errors, signals
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import sealed, sources
from modelrefresh_jobs.storage.run_folders import RunFolders
from modelrefresh_jobs.training import (
    attention,
    checkpointing,
    dataset,
    progress_file,
    start_model,
    step_plan,
    trainer_arguments,
)
from modelrefresh_jobs.training.watch import callback, watchdog
from modelrefresh_jobs.training.watch.steady_trainer import SteadyTrainer

LOG = logging.getLogger("modelrefresh.jobs")
_CHECKPOINT_BYTES = 12
"""Bytes per weight: itself and two moments of Adam, all in float32."""
_EDGE = 0.05
"""Share of the logged steps, 0-1, at either end whose mean loss is reported as first and as last."""


def train(wanted: TrainInput, folders: RunFolders, progress: Progress, *, stop: Callable[[], bool]) -> TrainSummary:
    """Train to the end or until `stop` says so.

    Raises:
        StageError: TrainingDiverged, when loss, gradient norm or a weight is not finite.
        StageError: Preempted, when `stop` returned True; a checkpoint is saved.
        StageError: DataUnreadable or ModelUnreadable, when blocks, start or checkpoint are missing or damaged.
        StageError: InvalidSpec, when the sequence length is not that of the blocks or exceeds the model's.
        StageError: OutOfMemory, when there was no room to keep activations; the next attempt recomputes them.
        StageError: InsufficientStorage, when the workspace has no room for a checkpoint of method Full.
    """
    _settle_libraries(wanted.seed)
    start = sources.resolve(wanted.start, folders)
    _require_room(folders.workspace.root, wanted, start)
    parents = progress_file.made_from(wanted, blocks=_packed(folders).digest)
    examples, course = _examples(wanted, folders, progress)
    terms = callback.CallbackSettings(
        checkpoints=folders.checkpoints,
        parents=parents,
        position=folders.position,
        checkpoint_seconds=wanted.checkpoint_seconds,
        tokens=lambda step: examples.tokens(step * course.per_step),
        stop=stop,
    )
    observer = callback.CheckpointCallback(terms, progress)
    # DeepSpeed reads these arguments while the model is loaded: under ZeRO-3 no process ever holds all of it.
    fitted = _fitted(wanted, start, course, examples, folders)
    arguments = trainer_arguments.build(wanted, output=folders.checkpoints, course=course, fitted=fitted)
    watch = watchdog.Watchdog(floor=wanted.stall_seconds, leave=abrupt_end.leave)
    _connect(arguments)
    gpu, kernel = torch.cuda.is_available(), attention.kernel()
    model = start_model.load(wanted, start, length=examples.sequence_length, gpu=gpu, kernel=kernel)
    trainer = _trainer(arguments, model, examples, (observer, watch), attention.collator(kernel))
    resumed, lost = _resume_point(trainer, folders, parents, progress)
    # Up to here there is nothing to save, and a signal interrupts at once.
    with signals.deferred():
        learning = recomputation.learning(folders, kept=fitted is not None and not fitted.recompute)
        with observer.sealer, watch, learning, checkpointing.resuming(resumed):
            trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
        if observer.preempted:
            raise _preempted(trainer.state, folders)
        began = wanted.start_fingerprint or model_folder.fingerprint(start)
        _seal_model(trainer, folders, {**parents, sealed.START: began})
    return _summary(
        trainer.state,
        observer,
        passes=examples.passes(trainer.state.global_step * course.per_step),
        resumed=(checkpointing.step(resumed) if resumed else 0, lost),
        start=began,
    )


def _settle_libraries(seed: int) -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    checkpointing.unpickle_nothing()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    transformers.set_seed(seed)


def _require_room(workspace: pathlib.Path, wanted: TrainInput, start: pathlib.Path) -> None:
    """Refuse to begin what could not be saved at the first checkpoint."""
    if wanted.method is Method.LORA:
        return
    needed, free = _CHECKPOINT_BYTES * model_folder.accept(start).parameters, shutil.disk_usage(workspace).free
    if free < needed:
        raise errors.StageError(
            StageReason.INSUFFICIENT_STORAGE,
            f"{errors.NO_ROOM} (a checkpoint takes {needed} bytes, {free} are free)",
            exit_code=ExitCode.TRANSIENT,
        )


def _examples(wanted: TrainInput, folders: RunFolders, progress: Progress) -> tuple[dataset.Blocks, step_plan.Course]:
    packed = packing.load(folders.blocks)
    if wanted.sequence_length not in (None, length := packed[0].shape[1]):
        raise errors.StageError(
            StageReason.INVALID_SPEC,
            f"spec.training.sequenceLength is {wanted.sequence_length}, but the prepared blocks hold {length} "
            "tokens each; train with the length that they were prepared with",
        )
    course = step_plan.plan(wanted, blocks=len(packing.learnable(packed[1])))
    if course.examples < wanted.batch_size * course.processes * course.accumulation:
        progress.warn(f"{course.examples} blocks are fewer than one step asks for; the only step is smaller")
    return dataset.Blocks(packed, examples=course.examples, length=course.length, seed=wanted.seed), course


def _fitted(
    wanted: TrainInput, start: pathlib.Path, course: step_plan.Course, examples: dataset.Blocks, folders: RunFolders
) -> Setting | None:
    asked = Setting(
        zero_stage=wanted.zero_stage,
        cards=course.processes,
        batch_size=course.batch_size,
        sequence_length=examples.sequence_length,
    )
    fit = devices.fit(wanted, start, asked, recomputes=recomputation.is_forced(folders))
    return fit.setting if fit else None


def _connect(arguments: transformers.TrainingArguments) -> None:
    if arguments.deepspeed:
        import deepspeed

        # The Trainer's processes are connected by now; on CPUs DeepSpeed does not notice by itself before ZeRO-3 loads.
        checkpointing.allow_states_of_deepspeed()
        deepspeed.init_distributed(dist_backend=torch.distributed.get_backend(), verbose=False)


def _trainer(
    arguments: transformers.TrainingArguments,
    model: PreTrainedModel | PeftModel,
    examples: dataset.Blocks,
    callbacks: tuple[callback.CheckpointCallback, watchdog.Watchdog],
    collator: Callable[..., dict[str, Any]],
) -> Trainer:
    trainer = SteadyTrainer(
        guard=callbacks[0].guard,
        model=model,
        args=arguments,
        train_dataset=examples,
        data_collator=collator,
        callbacks=list(callbacks),
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def _packed(folders: RunFolders) -> sealed.Manifest:
    try:
        return sealed.verify(folders.blocks, deep=False)
    except sealed.BrokenSealError as error:
        raise errors.StageError(
            StageReason.DATA_UNREADABLE, f"blocks of run {folders.run}: {error}; prepare it first"
        ) from error


def _resume_point(
    trainer: Trainer, folders: RunFolders, parents: Mapping[str, str], progress: Progress
) -> tuple[pathlib.Path | None, int]:
    before = progress_file.read(folders.position)
    reached = before.done if before and progress_file.fits(before.made_from, parents) else 0
    found = checkpointing.newest(folders.checkpoints, parents=parents, warn=progress.warn)
    at = checkpointing.step(found) if found else 0
    # All processes have read before the first one cleans up.
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        checkpointing.discard_after(folders.checkpoints, at=at)
    trainer.accelerator.wait_for_everyone()
    if found:
        LOG.info("train: goes on from the checkpoint at step %d; the attempt before came to step %d", at, reached)
    return found, max(0, reached - at)


def _preempted(state: TrainerState, folders: RunFolders) -> errors.StageError:
    return errors.StageError(
        StageReason.PREEMPTED,
        f"asked to leave at step {state.global_step} of {state.max_steps}; checkpoint saved in {folders.checkpoints}",
        exit_code=ExitCode.PREEMPTED,
    )


def _seal_model(trainer: Trainer, folders: RunFolders, parents: Mapping[str, str]) -> None:
    first = trainer.is_world_process_zero()
    label = "model" if first else f"model-{trainer.args.process_index}"
    with sealed.draft(
        folders.trained.parent, kind="trained", label=label, attempt=folders.attempt, parents=parents
    ) as made:
        trainer.model.config.use_cache = True
        trainer.save_model(str(made.path))
        (made.path / "training_args.bin").unlink(missing_ok=True)
        if first:
            _require_finite(made.path)
            sealed.seal(made, target=folders.trained)
            shutil.rmtree(folders.checkpoints, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()


def _require_finite(folder: pathlib.Path) -> None:
    for file in sorted(folder.glob("*.safetensors")):
        with safetensors.safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 -- not a mapping
                if not torch.isfinite(tensors.get_tensor(name)).all():
                    message = f"weight {name} is not finite after the last step; lower spec.training.learningRate"
                    raise errors.StageError(StageReason.TRAINING_DIVERGED, message, exit_code=ExitCode.DIVERGED)


def _summary(
    state: TrainerState,
    observer: callback.CheckpointCallback,
    *,
    passes: float,
    resumed: tuple[int, int],
    start: str,
) -> TrainSummary:
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    edge = max(1, round(_EDGE * len(losses)))
    resumed_step, lost = resumed
    tokens, seconds = observer.terms.tokens(state.global_step), observer.seconds
    return TrainSummary(
        steps=state.global_step,
        tokens=tokens,
        first_loss=sum(losses[:edge]) / edge,
        last_loss=sum(losses[-edge:]) / edge,
        seconds=round(seconds, 3),
        tokens_per_second=round((tokens - observer.terms.tokens(resumed_step)) / max(seconds, 1e-9), 1),
        resumed_step=resumed_step,
        lost_steps=lost,
        start_fingerprint=start,
        passes=round(passes, 4),
        skipped_steps=observer.guard.skipped,
    )
