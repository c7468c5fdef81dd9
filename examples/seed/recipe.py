"""The few numbers that decide what the seed makes."""

from dataclasses import dataclass

ARCHITECTURES = ("llama", "qwen2")
BASE_RATE = 3e-3
INSTRUCT_RATES = {"llama": 7e-4, "qwen2": 5e-4}
OLD_DOCUMENTS, NEW_DOCUMENTS, REPLAY_DOCUMENTS = 40, 150, 20
"""Documents per territory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What decides the outcome; equal settings give equal files."""

    architecture: str = "llama"
    seed: int = 0
    base_steps: int = 900
    instruct_steps: int = 200
    hidden: int = 192
    layers: int = 2
    base_rate: float = BASE_RATE
    instruct_rate: float | None = None
    """If absent that of the architecture."""

    @property
    def tuning_rate(self) -> float:
        """Peak learning rate of the instruct model."""
        return self.instruct_rate or INSTRUCT_RATES[self.architecture]
