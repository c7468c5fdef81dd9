"""Stage `toy`: counts the blocks of a run."""

from dataclasses import dataclass

PUBLISHES: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyInput:
    """How far to count."""

    most: int = 10
    """Where counting ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToySummary:
    """What was counted."""

    counted: int
