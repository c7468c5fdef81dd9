"""The way to train that fits on the given cards: the least means first, from ZeRO stage 1 to offload.

The smallest stage, then recomputation only where needed, then the largest micro-batch; offload last, since every step
waits for the host. Stage 0 is computed where asked for and never chosen: its float32 weights take the most. Knows
no devices and no requests.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from modelrefresh_jobs.memory import needs
from modelrefresh_jobs.memory.needs import Need, Setting
from modelrefresh_jobs.memory.shapes import ModelShape

ROOM = 0.9
"""Share of a card up to which a training is sure to fit: allocators fragment."""
SURE = 1.1
"""Share of a card from which it surely does not: the estimate may be too high by this much."""
MOST_CARDS = 1024
_STAGES = (1, 2, 3)
_OFFLOADS = 2
"""ZeRO stage from which the trainer offloads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A setting, what it needs, and of how much."""

    setting: Setting
    need: Need
    card: int
    """Bytes of each card."""
    accumulation: int = 1
    """Forward passes of a step."""

    @property
    def share(self) -> float:
        """Of the card; more than 1 does not fit."""
        return self.need.peak / self.card

    @property
    def fits(self) -> bool:
        """Whether it fits with room to spare."""
        return self.share <= ROOM


def choose(shape: ModelShape, *, cards: int, card: int, sequences: int, length: int) -> Fit:
    """The first way that fits; if none does, the one that needs least.

    `card` is in bytes; `sequences` of `length` tokens are what each card learns from in one step, divided into
    micro-batches of a power of two.
    """
    least: Fit | None = None
    for setting in _ways(shape, cards, length):
        for size in _sizes(sequences):
            one = replace(setting, batch_size=size)
            fit = Fit(setting=one, need=needs.of(shape, one), card=card, accumulation=sequences // size)
            if fit.fits:
                return fit
            least = fit if least is None or fit.need.peak < least.need.peak else least
    assert least is not None  # noqa: S101 -- there is always a way
    return least


def settle(shape: ModelShape, asked: Setting, *, card: int, host: float = math.inf, forced: bool = False) -> Fit:
    """The setting that was asked for, with recomputation and offload only where it needs them; `card` in bytes.

    It recomputes anyway where `forced`, and offloads no more than `host` bytes per card. If nothing makes it fit, the
    way that needs least.
    """
    found = []
    for offload in (False, True) if asked.zero_stage >= _OFFLOADS else (False,):
        for recompute in (True,) if forced else _recomputes(shape):
            one = replace(asked, recompute=recompute, offload=offload)
            fit = Fit(setting=one, need=needs.of(shape, one), card=card)
            if fit.need.host > host:
                continue
            if fit.fits:
                return fit
            found.append(fit)
    return min(found, key=lambda fit: fit.need.peak)


def fewest(shape: ModelShape, *, card: int, sequences: int, length: int) -> int | None:
    """The fewest cards on which it fits without offload; None where more do not help."""
    for cards in range(1, MOST_CARDS + 1):
        fit = choose(shape, cards=cards, card=card, sequences=sequences, length=length)
        if fit.fits and not fit.setting.offload:
            return cards
    return None


def _ways(shape: ModelShape, cards: int, length: int) -> Iterator[Setting]:
    for offload in (False, True):
        for stage in _STAGES[_OFFLOADS - 1 :] if offload else _STAGES:
            for recompute in _recomputes(shape):
                yield Setting(
                    zero_stage=stage,
                    cards=cards,
                    batch_size=1,
                    sequence_length=length,
                    recompute=recompute,
                    offload=offload,
                )


def _recomputes(shape: ModelShape) -> tuple[bool, ...]:
    """Without recomputation first; never without where activations are more than is counted."""
    return (False, True) if shape.is_plain else (True,)


def _sizes(sequences: int) -> Iterator[int]:
    """Powers of two that divide it, the largest first."""
    size = sequences & -sequences
    while size:
        yield size
        size //= 2
