"""Building blocks of status: conditions, stages with what they found, runs, failures.

Everything here is written by the operator alone and read by its next pass. Reading ignores
fields of newer operators; nothing here knows what a value means for a decision.
"""

import enum
from typing import Annotated, Any, Self

import pydantic

from modelrefresh.api.model import ApiModel, ListMap
from modelrefresh.api.status_types import (
    Account,
    Count,
    Digest,
    LongMessage,
    Measure,
    Message,
    Note,
    ShortText,
    Time,
    first,
)
from modelrefresh.contract.vocabulary import Stage


class Record(ApiModel):
    """Common form of what the operator writes."""

    model_config = pydantic.ConfigDict(extra="ignore")

    def evolve(self, **changes: Any) -> Self:  # noqa: ANN401 -- any field's value
        """A copy with these fields changed; bounds hold for the new values too."""
        return type(self).model_validate({**self.__dict__, **changes})


class Condition(Record):
    """One observation in the form that Kubernetes tools read."""

    type: ShortText
    """Ready, Reconciling, Stalled, Suspended, GatesPassed or RolledOut."""
    status: Annotated[str, pydantic.Field(max_length=7, pattern="^(True|False|Unknown)$")]
    """True, False or Unknown."""
    reason: Annotated[str, pydantic.Field(min_length=1, max_length=64)]
    """CamelCase word; docs/troubleshooting.md explains each."""
    message: LongMessage = ""
    """For people: the object, what was seen, what was expected, what to do."""
    last_transition_time: Time
    """When `status` last changed."""
    observed_generation: Count = 0
    """Generation of the object that this was said of."""


Conditions = Annotated[tuple[Condition, ...], pydantic.Field(max_length=16), ListMap("type")]


class StageState(enum.StrEnum):
    """How far a stage of a run is."""

    WAITING = "Waiting"
    """Its turn has not come, or its next attempt waits."""
    QUEUED = "Queued"
    """Its Job exists, no pod of it runs yet."""
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


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


class MergeFacts(Record):
    """What the merge measured."""

    digest: Digest
    drift: Measure | None = None
    """Size of the change by training, relative to the weights."""
    residual_norm: Measure | None = None
    """Size of the instruction residual, relative to the weights."""
    alignment: Measure | None = None
    """Cosine between the two."""


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
    verdicts: Annotated[tuple[VerdictFacts, ...], pydantic.Field(max_length=12)] = ()
    """What each gate said, in the order of the spec."""


class StageRecord(Record):
    """One stage of the run, and what later stages need of it when its Job is gone."""

    name: Stage
    state: StageState = StageState.WAITING
    attempt: Count = 0
    """Attempts begun; each is one Job."""
    failures: Count = 0
    """Attempts that failed by their own fault; the profile limits them."""
    disruptions: Count = 0
    """Attempts that ended by no fault of their own, such as preemption."""
    outages: Count = 0
    """Last of them in a row that found something outside missing, such as room on the disk; pauses grow with it."""
    gpus: Count = 0
    """GPUs of the current attempt, all pods together."""
    gpu_seconds: Count = 0
    """Of all ended attempts."""
    start_time: Time | None = None
    end_time: Time | None = None
    reason: ShortText | None = None
    message: Message = ""
    progress: ShortText | None = None
    """Such as 41%."""
    digest: Digest | None = None
    """Of the artifact it made."""
    incumbent: Digest | None = None
    """What the current attempt of evaluate was asked to compare with."""
    warnings: Annotated[tuple[Message, ...], pydantic.Field(max_length=4), first(4)] = ()
    """What the stage wants the model owner to look at, though nothing failed."""
    prepare: PrepareFacts | None = None
    train: TrainFacts | None = None
    merge: MergeFacts | None = None
    evaluate: EvaluateFacts | None = None

    @property
    def at_work(self) -> bool:
        """Its attempt has begun and no end of it was recorded."""
        return self.state in (StageState.QUEUED, StageState.RUNNING)


class TriggerKind(enum.StrEnum):
    """What opened a run."""

    FIRST_SIGHT = "FirstSight"
    SPEC_CHANGED = "SpecChanged"
    SCHEDULE = "Schedule"
    ANNOTATION = "Annotation"
    MENDED = "Mended"
    """The last run failed for something outside the spec that changed since, or was cheap to try again."""


class Outcome(enum.StrEnum):
    """How a run ended."""

    PROMOTED = "Promoted"
    REJECTED = "Rejected"
    SKIPPED = "Skipped"
    FAILED = "Failed"
    SUPERSEDED = "Superseded"
    ROLLED_BACK = "RolledBack"


class Trigger(Record):
    """Why a run was opened."""

    kind: TriggerKind
    detail: Note = ""
    """Token of the annotation, time of the tick, or the generation."""


class Run(Record):
    """One pass through the stages."""

    id: ShortText
    trigger: Trigger
    start_time: Time
    end_time: Time | None = None
    inputs: Digest = ""
    """Hash of what the run works on; a spec that gives another one supersedes the run."""
    spec_generation: Count = 0
    outcome: Outcome | None = None
    """Absent while the run is active."""
    reason: ShortText | None = None
    message: Message = ""
    stage: Stage | None = None
    """The stage at work, for people."""
    progress: ShortText | None = None
    """Of that stage, such as 41%."""
    stages: Annotated[tuple[StageRecord, ...], pydantic.Field(max_length=8), ListMap("name")] = ()

    def record(self, stage: Stage) -> StageRecord | None:
        """What is recorded of a stage."""
        return next((item for item in self.stages if item.name is stage), None)


class Failure(Record):
    """The last attempt that failed."""

    run: ShortText
    stage: Stage
    attempt: Count
    reason: ShortText
    exit_code: int | None = None
    message: Account = ""
    """What the stage or Kubernetes said: the first line and the last ones, if long."""
    time: Time
    profile: ShortText = ""
    """Hash of the profile then; another one opens a new run."""
