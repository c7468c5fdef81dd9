"""Where a ModelRefresh stands.

Everything a later pass needs stands here, because Jobs and pods go away: after any crash the
operator reads these records and goes on. `phase` is for people; nothing reads it back.
"""

import json
from typing import Annotated

import pydantic

from modelrefresh.api.model import ListMap
from modelrefresh.api.status.record import Record
from modelrefresh.api.status.run import Conditions, Failure, Outcome, Run, StageRecord, TriggerKind
from modelrefresh.api.status.types import Count, Digest, Label, Message, Note, ShortText, Time, excerpt, first
from modelrefresh.contract.vocabulary import Stage

SIZE_LIMIT = 16 * 1024
"""Bytes that the status of a ModelRefresh may take as JSON."""
_SHORT_ACCOUNT = 320
"""Characters of the last failure's message that stay in a status that would be too big."""
_SHORT_MESSAGE = 104
"""The same of a condition's message."""
_HELD = 10
_HISTORY = 10
SWEPT = 8
"""Folders of each kind that one sweep takes; the next one takes the rest."""


class VersionRef(Record):
    """A ModelVersion of this namespace."""

    version: Label
    digest: Digest
    since: Time | None = None


class Rollout(Record):
    """The Deployment on its way to a version."""

    to: VersionRef = pydantic.Field(alias="target")
    start_time: Time
    applied: bool = pydantic.Field(default=False, alias="seen")
    """The Deployment's template has named the target; another digest after that is a person's doing."""
    is_rollback: bool = pydantic.Field(default=False, alias="back")
    """Going back to the live version."""
    hindered: bool = False
    """The Deployment or the cluster keeps it from being tried; its time counts from when that is over."""


class Sweep(Record):
    """The sweep under way, or the last one; it takes a few folders, the next one takes the rest."""

    stage: StageRecord
    runs: Annotated[tuple[ShortText, ...], pydantic.Field(max_length=SWEPT), first(SWEPT)] = ()
    """Runs whose scratch is removed."""
    versions: Annotated[tuple[Digest, ...], pydantic.Field(max_length=SWEPT), first(SWEPT)] = ()
    """Digests that are removed."""
    freed_bytes: Count = 0
    """By this sweep."""
    total_bytes: Count = 0
    """By all sweeps so far."""


class HistoryEntry(Record):
    """One ended run."""

    run: ShortText
    outcome: Outcome
    version: Label | None = None
    """The candidate, if the run came so far."""
    trigger: TriggerKind
    start_time: Time
    end_time: Time
    reason: ShortText
    message: Message = ""


class StageCost(Record):
    """What one stage used, over all runs."""

    stage: Stage
    gpu_seconds: Count = 0


class Cost(Record):
    """What this ModelRefresh used so far."""

    stages: Annotated[tuple[StageCost, ...], pydantic.Field(max_length=8), ListMap("stage")] = ()
    tokens: Count = 0
    """Tokens trained on."""


class RefreshStatus(Record):
    """Where a ModelRefresh stands."""

    observed_generation: Count = 0
    """Generation of the spec that this status speaks of."""
    phase: ShortText | None = None
    """The Ready condition's reason, in one word, for people."""
    conditions: Conditions = ()
    run: Run | None = None
    """The current run, or the last one."""
    rollout: Rollout | None = None
    """Absent while the Deployment stays where it is."""
    live: VersionRef | None = None
    """The version that serves."""
    previous: VersionRef | None = None
    """The version that served before; a failed rollout goes back to the live one, a person to this one."""
    candidate: VersionRef | None = None
    """The version of the current run."""
    stock: VersionRef | None = None
    """Version zero, what served before the first candidate."""
    held: Annotated[tuple[Digest, ...], pydantic.Field(max_length=_HELD), first(_HELD)] = ()
    """Digests whose rollout failed; not tried again by themselves."""
    data_fingerprint: Digest | None = None
    """Of the data of the last judged run; equal data is skipped."""
    judged_inputs: Digest | None = None
    """Hash of what the last judged run worked on."""
    retries: Count = 0
    """Runs opened by themselves since the last one that did not fail."""
    freshness: ShortText | None = None
    """Date of the newest document that the live version has learned."""
    last_handled_refresh: Note | None = None
    """Last value of the annotation modelrefresh.dev/refresh that opened a run."""
    last_schedule_time: Time | None = None
    next_schedule_time: Time | None = None
    history: Annotated[tuple[HistoryEntry, ...], pydantic.Field(max_length=_HISTORY), first(_HISTORY)] = ()
    """Ended runs, newest first."""
    cost: Cost | None = None
    sweep: Sweep | None = None
    """What retention removed."""
    last_failure: Failure | None = None


def fit(status: RefreshStatus) -> RefreshStatus:
    """The status within `SIZE_LIMIT`: what only people read goes first, the oldest runs before all else."""
    while size(status) > SIZE_LIMIT and status.history:
        status = status.evolve(history=status.history[:-1])
    if size(status) > SIZE_LIMIT and status.last_failure:
        failure = status.last_failure.evolve(message=excerpt(status.last_failure.message, _SHORT_ACCOUNT))
        status = status.evolve(last_failure=failure)
    if size(status) > SIZE_LIMIT and status.run:
        stages = tuple(_without_remarks(stage) for stage in status.run.stages)
        status = status.evolve(run=status.run.evolve(stages=stages))
    if size(status) > SIZE_LIMIT and status.sweep:
        status = status.evolve(sweep=status.sweep.evolve(stage=_without_remarks(status.sweep.stage)))
    if size(status) > SIZE_LIMIT:
        conditions = tuple(item.evolve(message=excerpt(item.message, _SHORT_MESSAGE)) for item in status.conditions)
        status = status.evolve(conditions=conditions)
    return status


def size(record: Record) -> int:
    """Bytes of the record as compact JSON."""
    return len(json.dumps(record.render(), ensure_ascii=False, separators=(",", ":")).encode())


def _without_remarks(stage: StageRecord) -> StageRecord:
    """The stage without its words and without what only people compare; all that later stages need stays."""
    stage = stage.evolve(message="", warnings=())
    if stage.prepare:
        stage = stage.evolve(prepare=stage.prepare.evolve(ignored_examples=None, overlap=()))
    if stage.search:
        stage = stage.evolve(search=stage.search.evolve(scores=()))
    if stage.evaluate is None:
        return stage
    verdicts = tuple(verdict.evolve(message="") for verdict in stage.evaluate.verdicts)
    return stage.evolve(evaluate=stage.evaluate.evolve(verdicts=verdicts))
