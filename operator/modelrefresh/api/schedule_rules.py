"""Which settings of the learning rate go together: rules over a whole spec of a ModelRefresh.

They stand at the spec because the API server tries rules of a part on its bare default. Knows no other field.
"""

from typing import Any, Final

from modelrefresh.api.model import ValidationRule
from modelrefresh.contract import limits
from modelrefresh.contract.vocabulary import LearningRateSchedule

_STABLE: Final = LearningRateSchedule.WARMUP_STABLE_DECAY
_DECAY: Final = limits.DECAY_RATIO


def _fits(spec: Any) -> bool:  # noqa: ANN401 -- the spec's own file takes these rules in
    training = spec.training
    decay = float(training.decay_ratio or _DECAY.decimal)
    return training.learning_rate_schedule is not _STABLE or float(training.warmup_ratio) + decay <= 1


RULES: Final = (
    ValidationRule(
        cel="!has(self.training.minLearningRateRatio) || self.training.learningRateSchedule == 'Cosine'",
        holds=lambda spec: (
            spec.training.min_learning_rate_ratio is None
            or spec.training.learning_rate_schedule is LearningRateSchedule.COSINE
        ),
        message="minLearningRateRatio is of Cosine alone; leave it out or set learningRateSchedule to Cosine",
        path=".training.minLearningRateRatio",
    ),
    ValidationRule(
        cel=f"!has(self.training.decayRatio) || self.training.learningRateSchedule == '{_STABLE}'",
        holds=lambda spec: spec.training.decay_ratio is None or spec.training.learning_rate_schedule is _STABLE,
        message=f"decayRatio is of {_STABLE} alone; leave it out or set learningRateSchedule to {_STABLE}",
        path=".training.decayRatio",
    ),
    ValidationRule(
        cel=f"self.training.learningRateSchedule != '{_STABLE}' || double(self.training.warmupRatio) + "
        f"double(has(self.training.decayRatio) ? self.training.decayRatio : '{_DECAY.default}') <= 1.0",
        holds=_fits,
        message="warmupRatio and decayRatio are more than all steps together; lower one of them",
        path=".training.warmupRatio",
    ),
)
