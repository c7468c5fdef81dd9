"""The course of the learning rate, in the words of transformers' own schedulers.

Every schedule rises in a straight line from zero and goes on from the peak. Refuses what is of another schedule,
since a setting that is silently without effect is a wrong one. Knows no optimizer.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from modelrefresh.contract import limits
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import LearningRateSchedule
from modelrefresh_jobs.process.errors import StageError

LOG = logging.getLogger("modelrefresh.jobs")
_FEWEST = 2
"""Steps of a decay that lower the rate of any: the first is still taken at the peak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Arguments of `transformers.get_scheduler`."""

    kind: str
    """Word of `transformers.SchedulerType`."""
    warmup_steps: int
    settings: Mapping[str, object]
    """What this kind takes besides."""


def of(wanted: TrainInput, *, steps: int) -> Schedule:
    """The schedule of a run of so many optimizer steps.

    Raises:
        StageError: InvalidSpec, when a setting is of another schedule, or warm-up and decay do not both fit.
    """
    _refuse_what_is_of_another(wanted)
    warmup = round(wanted.warmup_ratio * steps)
    match wanted.learning_rate_schedule:
        case LearningRateSchedule.LINEAR:
            return Schedule(kind="linear", warmup_steps=warmup, settings={})
        case LearningRateSchedule.CONSTANT:
            return Schedule(kind="constant_with_warmup", warmup_steps=warmup, settings={})
        case LearningRateSchedule.COSINE:
            floor = wanted.min_learning_rate_ratio or limits.MIN_LEARNING_RATE_RATIO.decimal
            return Schedule(kind="cosine_with_min_lr", warmup_steps=warmup, settings={"min_lr_rate": floor})
        case LearningRateSchedule.WARMUP_STABLE_DECAY:
            decay = min(round(_decay_ratio(wanted) * steps), steps - warmup)
            if decay < _FEWEST:
                LOG.info(
                    "train: decayRatio %g of %d steps is %d, so the learning rate stays at its peak to the end; "
                    "raise decayRatio, or train for more steps",
                    *(_decay_ratio(wanted), steps, decay),
                )
            settings = {"num_decay_steps": decay, "decay_type": "1-sqrt"}
            return Schedule(kind="warmup_stable_decay", warmup_steps=warmup, settings=settings)


def _decay_ratio(wanted: TrainInput) -> float:
    return limits.DECAY_RATIO.decimal if wanted.decay_ratio is None else wanted.decay_ratio


def _refuse_what_is_of_another(wanted: TrainInput) -> None:
    schedule = wanted.learning_rate_schedule
    owned = (
        ("minLearningRateRatio", wanted.min_learning_rate_ratio, LearningRateSchedule.COSINE),
        ("decayRatio", wanted.decay_ratio, LearningRateSchedule.WARMUP_STABLE_DECAY),
    )
    for name, value, owner in owned:
        if value is not None and schedule is not owner:
            raise StageError(
                StageReason.INVALID_SPEC,
                f"{name} is {value}, but the schedule is {schedule}; leave it out, or train with {owner}",
            )
    if schedule is LearningRateSchedule.WARMUP_STABLE_DECAY and wanted.warmup_ratio + _decay_ratio(wanted) > 1:
        raise StageError(
            StageReason.INVALID_SPEC,
            f"warmupRatio {wanted.warmup_ratio} and decayRatio {_decay_ratio(wanted)} are more than all steps "
            "together; lower one of them",
        )
