"""Building blocks of status: conditions, stages, runs, failures.

Everything here is written by the operator alone and read by its next pass. Reading ignores
fields of newer operators; nothing here knows what a value means for a decision.
"""

import enum
from typing import Annotated

import pydantic

from modelrefresh.api.model import ListMap
from modelrefresh.api.status.record import Record
from modelrefresh.api.status.stage_facts import EvaluateFacts, MergeFacts, PrepareFacts, SearchFacts, TrainFacts
from modelrefresh.api.status.types import (
    Account,
    Count,
    Digest,
    LongMessage,
    Message,
    Note,
    ShortText,
    Time,
    first,
)
from modelrefresh.contract.vocabulary import Stage


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
    """What the current attempt of evaluate was asked to compare with; of merge and search, to average with."""
    transferred: bool | None = None
    """The current attempt of import was asked for the base with the residual, not for the instruct model."""
    warnings: Annotated[tuple[Message, ...], pydantic.Field(max_length=4), first(4)] = ()
    """What the stage wants the model owner to look at, though nothing failed."""
    prepare: PrepareFacts | None = None
    train: TrainFacts | None = None
    search: SearchFacts | None = None
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
