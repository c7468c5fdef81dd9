"""What a number of a request may be, and what it is where nobody says it.

Stated once for both who ask: `api/` makes schema and messages of it, the stages' command line
checks its flags with it. Knows no field's name or meaning; those are in `stages/` and in `api/`.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Accepted numbers from `least` to `most`, both included unless an end is open."""

    least: float
    most: float
    open_low: bool = False
    open_high: bool = False
    default: int | str | None = None
    """Taken where nothing is said; a decimal is a text, as in the API. None: somebody must say it."""
    none: float | None = None
    """What a request says, and nobody writes, where there is no such thing."""

    def holds(self, value: float) -> bool:
        """Whether the number is accepted; nan, which is in no order with others, never is."""
        low = self.least < value if self.open_low else self.least <= value
        high = value < self.most if self.open_high else value <= self.most
        return low and high

    @property
    def whole(self) -> int:
        """The default as a whole number."""
        return int(self.default or 0)

    @property
    def decimal(self) -> float:
        """The default as a decimal."""
        return float(self.default or 0)

    @property
    def accepted(self) -> str:
        """The range in words."""
        if not (self.open_low or self.open_high):
            return f"from {self.least} to {self.most}"
        low, high = "more than" if self.open_low else "at least", "less than" if self.open_high else "at most"
        return f"{low} {self.least} and {high} {self.most}"


REPLAY_PERCENT: Final = Range(least=1, most=50, default=5, none=0)
MAX_TOKENS: Final = Range(least=1, most=100_000_000_000, default=100_000_000)
SEQUENCE_LENGTH: Final = Range(least=16, most=131_072, default=2048)
LEARNING_RATE: Final = Range(least=0, most=1, open_low=True)
EPOCHS: Final = Range(least=0, most=100, open_low=True, default="1")
BATCH_SIZE: Final = Range(least=1, most=4096, default=8)
GRADIENT_ACCUMULATION: Final = Range(least=1, most=4096, default=1)
WARMUP_RATIO: Final = Range(least=0, most=1, default="0.05")
MIN_LEARNING_RATE_RATIO: Final = Range(least=0, most=1, default="0")
DECAY_RATIO: Final = Range(least=0, most=1, default="0.2", open_low=True)
LORA_RANK: Final = Range(least=1, most=1024, default=64)
LORA_ALPHA: Final = Range(least=1, most=4096, default=128)
ZERO_STAGE: Final = Range(least=0, most=3, default=2)
NODES: Final = Range(least=1, most=64, default=1)
GPUS_PER_NODE: Final = Range(least=0, most=16, default=1)
PROCESSES_PER_NODE: Final = Range(least=1, most=GPUS_PER_NODE.most, default=1)
CHECKPOINT_SECONDS: Final = Range(least=1, most=86_400, default=600)
STALL_SECONDS: Final = Range(least=1, most=86_400, default=600)
SEED: Final = Range(least=0, most=2_147_483_647, default=0)
GENERATED_TOKENS: Final = 20_000_000
"""The most tokens of replay that a model writes itself; more is cut off with a warning."""
SCALE: Final = Range(least=0, most=2, default="1.0")
ADDED_RESIDUALS: Final = 4
"""The most residuals beside the one that makes the instruct model."""
PREVIOUS_SHARE: Final = Range(least=0, most=1, open_low=True, open_high=True)
MAX_ITEMS: Final = Range(least=1, most=100_000, default=1000)
MAX_NEW_TOKENS: Final = Range(least=1, most=4096, default=64)
