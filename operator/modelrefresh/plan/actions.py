"""What a pass may do to the cluster: one frozen record per verb, and the plan that holds them.

`cluster/perform.py` is the only reader that acts. Every action may be performed twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias

from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.api.status.residual import ResidualStatus
from modelrefresh.api.status.run import Run
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh.plan.observed import S


@dataclass(frozen=True, slots=True, kw_only=True)
class AddFinalizer:
    """Keep the object until its Jobs are gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveFinalizer:
    """Let the object go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartStage:
    """Create the Job of one attempt, and the headless Service of several nodes."""

    request: StageRequest
    profile: str
    """Hash of the profile it is made with."""
    gpus: int = 0
    """Per pod."""
    nodes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StopJob:
    """Delete a Job; its pods get SIGTERM and their grace."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SealVersion:
    """Create the ModelVersion of a judged candidate or of the imported stock model."""

    name: str
    digest: str
    run: Run
    """The run that made it, with the scores; the lineage is the spec's."""
    stock: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkServed:
    """Record in a ModelVersion's status that it is, or no longer is, what the target serves."""

    name: str
    target: str | None
    """Name of the target that serves it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropVersion:
    """Delete a ModelVersion that retention no longer keeps."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Say on the target that this refresh rolls it, unless it has changed since it was seen."""

    kind: str
    """Of the target."""
    name: str
    uid: str
    version: str
    """resourceVersion that was seen."""
    allow: str | None = None
    """Also its owner's word, for one that was rolled before such words were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """Point the target at a version."""

    kind: str
    """Of the target."""
    name: str
    uid: str
    """Of the target: one that was deleted meanwhile is not created again."""
    container: str
    path: str
    """Where the version lies inside that container."""
    version: str
    digest: str


Action: TypeAlias = (
    AddFinalizer | RemoveFinalizer | StartStage | StopJob | SealVersion | MarkServed | DropVersion | Hold | Serve
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSummary:
    """The one thing to say about an object now."""

    reason: Reason
    message: str
    reconciling: bool = False
    """Something is going on (Reconciling)."""
    stalled: bool = False
    """Nothing goes on until a person acts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Generic[S]):
    """What follows from one look at an object: the status to write first, then the actions."""

    status: S
    summary: StatusSummary
    actions: Sequence[Action] = ()
    requeue_after_seconds: float | None = None
    """Look again after this long even if nothing happens; None: only events and resync."""


RefreshPlan: TypeAlias = Plan[RefreshStatus]
ResidualPlan: TypeAlias = Plan[ResidualStatus]
