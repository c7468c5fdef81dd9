"""What a word of a request is where nobody says it; numbers have theirs in `limits`."""

from typing import Final

from modelrefresh.contract.vocabulary import LearningRateSchedule, Method, Sampling, Strategy

STRATEGY: Final = Strategy.RESIDUAL
METHOD: Final = Method.LORA
LEARNING_RATES: Final = {Method.LORA: 2e-4, Method.FULL: 2e-5}
"""Peak rates; adapters want about ten times the rate of all weights (LoRA Without Regret)."""
LEARNING_RATE_SCHEDULE: Final = LearningRateSchedule.LINEAR
LORA_EMBEDDINGS: Final = False
SAMPLING: Final = Sampling.NEWEST
TEXT_FIELD: Final = "text"
