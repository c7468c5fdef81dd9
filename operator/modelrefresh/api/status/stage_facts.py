"""What the stages of a run found: the part of their summaries that the status keeps, with its bounds.

A field has the name that it has in the summary (`contract/stages/`); `Record.of` takes it over.
"""

from typing import Annotated

import pydantic

from modelrefresh.api.evaluation import GATES
from modelrefresh.api.merging import SCALES
from modelrefresh.api.status.record import Record
from modelrefresh.api.status.types import (
    Count,
    Digest,
    Measure,
    Note,
    ShortText,
    first,
)


class OverlapFacts(Record):
    """How much of one suite stands in the training text."""

    suite: ShortText
    """Name of the suite."""
    share: Measure
    """Share of its items that are long enough to be told, from 0 to 1."""


class PrepareFacts(Record):
    """What the prepare stage found."""

    fingerprint: Digest
    """Of the data; equal data is not trained on again."""
    documents: Count = 0
    """Documents read."""
    kept: Count = 0
    """Documents left after filters, duplicates and the token budget: those that are learnt."""
    cut: Count | None = None
    """Of these, the ones whose end did not fit."""
    tokens: Count = 0
    """Tokens in the blocks, without padding."""
    blocks: Count = 0
    newest: ShortText | None = None
    """Date of the newest document that is learnt, where the records carry one."""
    unusable_dates: Count | None = None
    """Documents whose date cannot be read or lies in the future; they count as undated."""
    ignored_files: Count | None = None
    """Files of the source that are not read."""
    ignored_examples: Note | None = None
    """The first of their names."""
    overlap: Annotated[tuple[OverlapFacts, ...], pydantic.Field(max_length=4), first(4)] = ()
    """The suites of which most stands in the training text; one of short questions only cannot be measured."""
    unchanged: bool = False
    """Nothing was packed: the data is that of the last judged run."""


class TrainFacts(Record):
    """What training did."""

    steps: Count = 0
    tokens: Count = 0
    """Tokens that went through the model, without padding."""
    passes: Measure | None = None
    """How often each block was met, on average."""
    seconds: Measure = "0.0000"
    last_loss: Measure | None = None
    resumed_step: Count = 0
    """Step of the checkpoint that the last attempt went on from."""
    lost_steps: Count = 0
    """Steps done twice because an attempt ended between checkpoints."""
    skipped_steps: Count = 0
    """Steps that were not applied, because their loss or gradient was a spike."""


class ScaleFacts(Record):
    """What one factor of the residual scored."""

    scale: Measure
    score: Measure
    """Mean over the suites of the search."""
    items: Count = 0
    """Questions that it was asked."""


class SearchFacts(Record):
    """Which factor of the residual was chosen."""

    scale: Measure
    """The one that is taken."""
    scores: Annotated[tuple[ScaleFacts, ...], pydantic.Field(max_length=SCALES), first(SCALES)] = ()
    """What each one scored."""


class MergeFacts(Record):
    """What the merge measured."""

    digest: Digest
    drift: Measure | None = None
    """Size of the change by training, relative to the weights."""
    residual_norm: Measure | None = None
    """Size of the residual of residualRef before any factor, relative to the weights; without `residuals`."""
    alignment: Measure | None = None
    """Cosine between the two, of the same residual."""


class ScoreFacts(Record):
    """One metric of one suite, candidate and incumbent on the same items."""

    suite: ShortText
    """Name of the suite."""
    metric: ShortText
    """Name of the metric."""
    items: Count
    """Items that both models were asked."""
    candidate: Measure
    """Score of the candidate."""
    incumbent: Measure | None = None
    """Score of the incumbent; absent if nothing served."""
    difference: Measure | None = None
    """Candidate minus incumbent, mean over the items."""
    error: Measure | None = None
    """Standard error of the difference."""
    gains: Count | None = None
    """Items that the candidate alone has right; absent for graded metrics."""
    losses: Count | None = None
    """Items that the incumbent alone has right."""


class VerdictFacts(Record):
    """What one gate said."""

    suite: ShortText
    """Name of the suite."""
    metric: ShortText
    """Name of the metric."""
    versus: ShortText
    """Incumbent or Absolute."""
    needed: Measure
    """What the gate asks for."""
    seen: Measure | None = None
    """What was measured: the difference, or versus Absolute the score."""
    low: Measure | None = None
    """Lower bound of `seen` at the declared confidence."""
    high: Measure | None = None
    """Upper bound of `seen` at the declared confidence."""
    verdict: ShortText
    """Pass, Fail, Inconclusive or Error."""
    message: Note = ""
    """Why, where the gate did not pass."""


class EvaluateFacts(Record):
    """What was measured and what the gates said of it."""

    incumbent: Digest | None = None
    """Digest that the candidate was compared with."""
    scores: Annotated[tuple[ScoreFacts, ...], pydantic.Field(max_length=16)] = ()
    """What was measured, one entry per suite and metric."""
    verdicts: Annotated[tuple[VerdictFacts, ...], pydantic.Field(max_length=GATES)] = ()
    """What each gate said, in the order of the spec."""
