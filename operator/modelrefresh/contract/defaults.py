"""What a word of a request is where nobody says it; numbers have theirs in `limits`."""

from typing import Final

from modelrefresh.contract.vocabulary import LearningRateSchedule, Method, Sampling, Strategy

STRATEGY: Final = Strategy.RESIDUAL
METHOD: Final = Method.LORA
LEARNING_RATE_SCHEDULE: Final = LearningRateSchedule.LINEAR
LORA_EMBEDDINGS: Final = False
SAMPLING: Final = Sampling.NEWEST
TEXT_FIELD: Final = "text"
