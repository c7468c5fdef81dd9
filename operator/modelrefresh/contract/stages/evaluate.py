"""Stage `evaluate`: candidate and incumbent asked the same questions."""

from dataclasses import dataclass
from typing import Annotated

from modelrefresh.contract import limits
from modelrefresh.contract.forms import Digest, Uri
from modelrefresh.contract.vocabulary import Task

PUBLISHES: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteInput:
    """One evaluation suite."""

    name: str
    uri: Uri
    task: Task
    dev: bool | None = None
    """Told to `prepare`: whether a factor will be chosen by it, so that it must ask what no gate's suite asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateInput:
    """Candidate and incumbent on the same items with the same template."""

    candidate: Digest
    """Digest under `versions/`."""
    incumbent: Digest | None = None
    """Digest under `versions/`; None when nothing serves yet."""
    suites: tuple[SuiteInput, ...]
    """The questions, files of JSON lines."""
    max_items: Annotated[int, limits.MAX_ITEMS] = limits.MAX_ITEMS.whole
    """Items used per suite at most, the first ones of a fixed shuffle."""
    max_new_tokens: Annotated[int, limits.MAX_NEW_TOKENS] = limits.MAX_NEW_TOKENS.whole
    """Tokens that an answer may have at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One metric of one suite, candidate and incumbent on the same items."""

    suite: str
    metric: str
    items: int
    candidate: float
    incumbent: float | None = None
    difference: float | None = None
    """Mean of the per-item differences, candidate minus incumbent."""
    error: float | None = None
    """Standard error of that mean (paired, arXiv 2411.00640)."""
    right: int | None = None
    """Items that the candidate has right, without an incumbent; None for graded metrics and from older stages."""
    gains: int | None = None
    """With an incumbent the items that the candidate alone has right; None for graded metrics and older stages."""
    losses: int | None = None
    """Items that the incumbent alone has right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateSummary:
    """All scores of one evaluation."""

    candidate: Digest
    """Digest that was evaluated."""
    incumbent: Digest | None = None
    scores: tuple[Score, ...]
