"""Stage `search`: which factor of the residual answers best, on questions that no gate asks."""

from dataclasses import dataclass
from typing import Annotated

from modelrefresh.contract import limits
from modelrefresh.contract.stages.evaluate import SuiteInput
from modelrefresh.contract.stages.merge import MergeInput

PUBLISHES: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchInput:
    """Merge with each factor in turn and ask."""

    merge: MergeInput
    """What `merge` will be asked, but for the factor."""
    scales: tuple[float, ...]
    suites: tuple[SuiteInput, ...]
    """The questions."""
    max_items: Annotated[int, limits.MAX_ITEMS] = limits.MAX_ITEMS.whole
    """Items used per suite at most, the first ones of a fixed shuffle."""
    max_new_tokens: Annotated[int, limits.MAX_NEW_TOKENS] = limits.MAX_NEW_TOKENS.whole
    """Tokens that an answer may have at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleScore:
    """What one factor scored."""

    scale: float
    score: float
    """Mean over the suites of the first metric of each, 0-1."""
    items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSummary:
    """The factor to take."""

    scale: float
    """The best one; of equals the one nearest to 1, then the smaller."""
    scores: tuple[ScaleScore, ...]
    """In the order of the request."""
