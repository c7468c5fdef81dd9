"""What one look at the cluster saw: frozen records, filled by `cluster/gather.py` only.

Everything that a decision may depend on stands here, together with what the status
recorded before; what is not here cannot influence a decision.
"""

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from modelrefresh.api.conditions import Reason
from modelrefresh.api.profile import ProfileSpec
from modelrefresh.api.spec import RefreshSpec, ResidualSpec
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.api.status.residual import ResidualStatus
from modelrefresh.contract.result import Result
from modelrefresh.contract.vocabulary import Stage

S = TypeVar("S", RefreshStatus, ResidualStatus)
"""The status of either kind that has stages."""


class JobState(enum.StrEnum):
    """How far a Job is."""

    QUEUED = "Queued"
    """No pod of it runs yet."""
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindrance:
    """What in the cluster keeps pods from being made or started; it says nothing about what they would do."""

    reason: Reason
    message: str
    stalled: bool = True
    """It does not pass before a person acts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedJob:
    """One attempt of one stage, as Job and pods tell it."""

    name: str
    uid: str
    run: str
    stage: Stage
    attempt: int
    state: JobState
    deleting: bool = False
    profile: str = ""
    """Hash of the profile that it was made with."""
    exit_code: int | None = None
    """Of the stage's container that speaks for the attempt; None if nothing recorded one."""
    result: Result | None = None
    """Parsed termination message; None if absent or damaged."""
    message: str = ""
    """What Kubernetes says about it: why it waits, why it failed."""
    disrupted: bool = False
    """The pod that ended it had the condition DisruptionTarget."""
    out_of_memory: bool = False
    deadline_exceeded: bool = False
    image_failed: bool = False
    """A container waits with ErrImagePull, ImagePullBackOff or InvalidImageName."""
    hindrance: Hindrance | None = None
    """Why it has too few pods, or pods that cannot start, some time after it was made."""
    started: datetime.datetime | None = None
    """When the first pod began to run."""
    finished: datetime.datetime | None = None
    progress: str | None = None
    """Such as "41%", from the stage itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedResidual:
    """The InstructionResidual that a refresh refers to."""

    name: str
    ready: bool
    digest: str | None
    base: str
    """URI it was cut from."""
    instruct: str
    base_fingerprint: str | None = None
    instruct_fingerprint: str | None = None
    message: str
    """Message of its Ready condition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedVersion:
    """One ModelVersion of this refresh."""

    name: str
    uid: str
    digest: str
    run: str
    passed: bool
    """Stock versions count as passed: they are what was served before."""
    served: bool
    """Its status says that it is served."""
    target: str | None = None
    """Name of what its status says it is served by."""
    created: datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedTarget:
    """What is to serve, as far as a rollout cares: all that the plan knows of it."""

    kind: str
    """Such as Deployment."""
    name: str
    uid: str
    containers: tuple[str, ...]
    mounts: Mapping[str, str]
    """Where each container mounts the workspace claim."""
    digest: str | None
    """Our annotation on its pod template."""
    version: str = ""
    """Its resourceVersion."""
    allowed: frozenset[str] = frozenset()
    """Names of the refreshes that may change it, by its own word; "*" among them means any."""
    holder: str | None = None
    """uid of the ModelRefresh that rolls it."""
    holder_name: str | None = None
    labelled: str | None = None
    """Name of that, as an operator before this release left it; None where somebody holds it by uid."""
    models: Mapping[str, str]
    """What MODELREFRESH_MODEL says in each container that is told something by it."""
    dangling: frozenset[str] = frozenset()
    """Containers where that is a path to which no claim is mounted."""
    settled: bool
    """Its controller has seen the newest template and every replica is updated and available."""
    observed: bool = True
    """Its controller has seen the newest template."""
    replicas: int = 1
    """Wanted; at zero it is settled and serves nothing."""
    ready_seconds: int = 0
    """How long a pod must be ready before it counts as available."""
    hindrance: Hindrance | None = None
    """What keeps the newest template from being tried: a pause, pods that cannot be made or placed."""
    message: str = ""
    """What its replica counts, conditions and pods say while it is not settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """Identity of the observed object."""

    namespace: str
    name: str
    uid: str
    generation: int
    deleting: bool = False
    finalizer: bool = False
    created: datetime.datetime
    refresh_token: str | None = None
    """Value of the annotation that asks for a run."""
    approved: str | None = None
    """Name of the ModelVersion that a person approved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed(Generic[S]):
    """An object that has stages, and what every such object needs."""

    meta: Meta
    status: S
    """What was remembered; empty at first sight."""
    faults: tuple[str, ...] = ()
    """Why its spec cannot be understood."""
    profile: ProfileSpec | None = None
    profile_faults: tuple[str, ...] = ()
    """Why there is none although the object exists."""
    profile_hash: str = ""
    namespace_labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Of the object's Namespace, where the profile asks for some."""
    jobs: tuple[ObservedJob, ...] = ()
    pods: frozenset[tuple[str, Stage]] = frozenset()
    """(run, stage) of pods that may still write: neither Succeeded nor Failed."""
    missing_claims: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedRefresh(Observed[RefreshStatus]):
    """One ModelRefresh and everything around it."""

    spec: RefreshSpec | None
    """None if it cannot be understood; then `faults` says why."""
    residual: ObservedResidual | None = None
    added: tuple[ObservedResidual | None, ...] = ()
    """Those of spec.residuals, in that order."""
    versions: tuple[ObservedVersion, ...] = ()
    foreign_digests: frozenset[str] = frozenset()
    """Digests named by ModelVersions of other refreshes of this namespace, or by anything that was served."""
    target: ObservedTarget | None = None
    rival: str | None = None
    """Another ModelRefresh that holds the target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedExtraction(Observed[ResidualStatus]):
    """One InstructionResidual and everything around it."""

    spec: ResidualSpec | None
    """None if it cannot be understood; then `faults` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRefresh:
    """A ModelRefresh and the target that serves it: what a rollout needs."""

    meta: Meta
    spec: RefreshSpec
    status: RefreshStatus
    target: ObservedTarget
    container: str
    """Container of the target that is pointed at a version."""
    versions: tuple[ObservedVersion, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyRefresh(ServedRefresh):
    """The same with everything that a stage needs: no prerequisite is missing."""

    profile: ProfileSpec
    profile_hash: str
    residual: ObservedResidual
    residual_digest: str
    added: tuple[str, ...]
    """Digests of the residuals that are added besides."""
    inputs: str
    """Hash of what a run works on."""
    jobs: tuple[ObservedJob, ...]
    pods: frozenset[tuple[str, Stage]]
    foreign_digests: frozenset[str]
