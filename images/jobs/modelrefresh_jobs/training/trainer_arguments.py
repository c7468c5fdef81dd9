"""Translation of a training request into the arguments of the Trainer and of DeepSpeed.

Fixed here, not asked for: AdamW (0.9, 0.95), weight decay 0.01, gradient norm at most 1,
bf16 on GPUs and float32 on CPUs, one log entry per step (the loss of each step decides
whether training goes on). Nothing is reported to a tracking service.
"""

import os
import pathlib
from typing import Any

from transformers import TrainingArguments

from modelrefresh.contract import defaults
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh_jobs.memory.needs import Setting
from modelrefresh_jobs.training import schedules
from modelrefresh_jobs.training.step_plan import Course


def uses_deepspeed(wanted: TrainInput, *, gpu: bool) -> bool:
    """Whether DeepSpeed is used: ZeRO is asked for, and there is a GPU or more than one process to partition over."""
    return wanted.zero_stage > 0 and (gpu or wanted.nodes * wanted.processes_per_node > 1)


def build(wanted: TrainInput, *, output: pathlib.Path, course: Course, fitted: Setting | None) -> TrainingArguments:
    """The Trainer's arguments; `fitted` says how the model fits on the GPUs, None that there is none."""
    schedule = schedules.of(wanted, steps=course.steps)
    gpu, recompute = fitted is not None, fitted is not None and fitted.recompute
    return TrainingArguments(
        output_dir=str(output),
        max_steps=course.steps,
        per_device_train_batch_size=course.batch_size,
        gradient_accumulation_steps=course.accumulation,
        learning_rate=wanted.learning_rate or defaults.LEARNING_RATES[wanted.method],
        lr_scheduler_type=schedule.kind,
        lr_scheduler_kwargs=schedule.settings,
        warmup_steps=schedule.warmup_steps,
        adam_beta1=0.9,
        adam_beta2=0.95,
        weight_decay=0.01,
        max_grad_norm=1.0,
        bf16=gpu,
        tf32=True if gpu else None,
        use_cpu=not gpu,
        ddp_backend="gloo" if "WORLD_SIZE" in os.environ and not gpu else None,
        activation_checkpointing=recompute,
        activation_checkpointing_kwargs={"use_reentrant": False} if recompute else None,
        deepspeed=deepspeed(wanted, fitted) if uses_deepspeed(wanted, gpu=gpu) else None,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=gpu,
        seed=wanted.seed,
    )


def deepspeed(wanted: TrainInput, fitted: Setting | None) -> dict[str, Any]:
    """DeepSpeed's configuration; `auto` follows the Trainer's arguments."""
    gpu = fitted is not None
    if not gpu:
        from deepspeed import ops

        # DeepSpeed would compile its shared-memory collective at first use, which needs a compiler in the pod.
        ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return {
        "zero_optimization": {
            "stage": wanted.zero_stage,
            "overlap_comm": gpu,
            "contiguous_gradients": True,
            "stage3_gather_16bit_weights_on_model_save": True,
            "offload_optimizer": {"device": "cpu" if fitted and fitted.offload else "none", "pin_memory": gpu},
        },
        # Offloaded, torch's own Adam steps on the host; DeepSpeed's would be compiled at first use.
        "zero_force_ds_cpu_optimizer": False,
        "bf16": {"enabled": gpu},
        "gradient_clipping": "auto",
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
    }
