"""What one cell of the benchmark is: a pair of models, a way to bring it up to date, and its numbers.

Refuses to know which cells are worth measuring (`grid`) and how one is measured (`measuring`).
"""

import dataclasses
import enum
from dataclasses import dataclass

from modelrefresh.contract.vocabulary import Method


class Way(enum.StrEnum):
    """How the instruct model is brought up to date."""

    STOCK = "stock"
    """Not at all: the instruct model as it was made."""
    SETTING_1 = "Setting 1"
    """Continual pretraining of the instruct model."""
    SETTING_2 = "Setting 2"
    """Continual pretraining of the base, then the instruction residual."""
    TUNED = "tuned again"
    """Continual pretraining of the base, then the instruction tuning once more."""


class Release(enum.StrEnum):
    """Which pair of a family: the second's base is the first's, trained further on other text."""

    FIRST = "A"
    SECOND = "A'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A shape with what makes a pair of it, and the peak rates at which it is refreshed."""

    hidden: int
    layers: int
    base_steps: int
    base_rate: float
    instruct_steps: int = 200
    instruct_rate: float | None = None
    """If absent that of the demo's seed."""
    full_rate: float
    lora_rate: float


SIZES = {
    "toy": Size(hidden=64, layers=1, base_steps=60, base_rate=5e-3, instruct_steps=60, full_rate=1e-3, lora_rate=2e-3),
    "1M": Size(hidden=128, layers=2, base_steps=900, base_rate=3e-3, full_rate=1e-3, lora_rate=2e-3),
    "2M": Size(hidden=192, layers=2, base_steps=900, base_rate=3e-3, full_rate=1e-3, lora_rate=2e-3),
    "7M": Size(hidden=320, layers=4, base_steps=400, base_rate=2e-3, full_rate=7e-4, lora_rate=1.5e-3),
    "30M": Size(
        hidden=512,
        layers=8,
        base_steps=250,
        base_rate=1e-3,
        instruct_steps=80,
        instruct_rate=3e-4,
        full_rate=5e-4,
        lora_rate=1e-3,
    ),
}
"""By name, the toy for tests; the numbers of weights are Llama's. Larger ones learn the same text in fewer steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Both releases of one made model."""

    architecture: str = "llama"
    size: str = "2M"
    seed: int = 0

    @property
    def name(self) -> str:
        """Its folder."""
        return f"{self.architecture}-{self.size}-{self.seed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One candidate; left as it is, the centre of the grid."""

    family: Family = Family()
    way: Way = Way.SETTING_2
    method: Method = Method.FULL
    replay: int = 33
    """Percent of the tokens."""
    budget: int = 300_000
    """Tokens in the blocks, replay included; each is met once."""
    rate: float = 1.0
    """Times the size's peak rate."""
    rank: int = 32
    embeddings: bool = False
    """LoRA trains embeddings and head in full beside the adapters."""
    start: Release = Release.FIRST
    """The release that is trained on."""
    residual: Release = Release.FIRST
    """The release that the residual was cut from."""
    scale: float = 1.0

    @property
    def training(self) -> "Cell":
        """The cell of the same training with nothing said of what is added afterwards."""
        way = Way.SETTING_2 if self.way is Way.TUNED else self.way
        return dataclasses.replace(self, way=way, residual=self.start, scale=1.0)

    @property
    def label(self) -> str:
        """In one line, for people who wait."""
        lora = f" rank {self.rank}{' embeddings' if self.embeddings else ''}" if self.method is Method.LORA else ""
        given = f"{self.start} + {self.scale:g} residual of {self.residual}"
        trained = f"{self.method}{lora} x{self.rate:g}, {self.budget:,} tokens, {self.replay} % replay, {given}"
        return f"{self.family.name}, {self.way}" + ("" if self.way is Way.STOCK else f", {trained}")
