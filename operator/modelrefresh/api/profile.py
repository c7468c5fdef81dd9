"""What the platform admin writes: the spec of RefreshProfile.

Everything that can hurt stands here and nowhere else: images, service account, claim,
placement, resources, limits. A tenant can only name a profile. Refuses images that are not
pinned by digest, because a tag may become another image between two attempts of one run.
"""

import enum
import re
from collections.abc import Mapping
from typing import Annotated

import pydantic

from modelrefresh.api.model import ApiModel, ValidationRule
from modelrefresh.api.spec_types import Name, ObjectName, Quantity
from modelrefresh.contract import forms, uris
from modelrefresh.contract.limits import GENERATED_TOKENS
from modelrefresh.contract.vocabulary import Stage

_STAGES = [stage.value for stage in Stage]
_KNOWN_STAGES = ValidationRule(
    cel=f"self.all(stage, stage in {_STAGES})",
    holds=lambda stages: all(stage in _STAGES for stage in stages),
    message=f"a key is not a stage; stages are: {', '.join(_STAGES)}",
)
_PINNED = r"[^\s@]+@sha256:[0-9a-f]{64}"
_BY_DIGEST = ValidationRule(
    cel=f"self.matches(r'^{_PINNED}$')",
    holds=lambda image: bool(re.fullmatch(_PINNED, image)),
    message="is not pinned; use NAME@sha256:DIGEST",
    expression="""'"' + self + '" is not pinned; use NAME@sha256:DIGEST'""",
    says=lambda image: f'"{image}" is not pinned; use NAME@sha256:DIGEST',
)

_SOME = ValidationRule(
    cel="self.size() > 0",
    holds=bool,
    message="an empty selector would choose every namespace; name a label, or use namespaces",
)
_NOT_SYSTEM = ValidationRule(
    cel="!self.startsWith('system-')",
    holds=lambda name: not name.startswith("system-"),
    message="is a class of the cluster's own pods, which training must never displace; name one of yours",
)

Resources = Annotated[Mapping[str, Quantity], pydantic.Field(max_length=16)]
LabelValue = Annotated[str, pydantic.Field(max_length=63)]
_PREFIX = rf"^({'|'.join(scheme.name for scheme in uris.SCHEMES)})://[^ ${uris.UNSEEN}]*$"
SourcePrefix = Annotated[str, pydantic.Field(min_length=5, max_length=512, pattern=_PREFIX)]
NamespaceName = Annotated[
    str, pydantic.Field(min_length=1, max_length=63, pattern=r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$")
]
GpuMemory = Annotated[str, pydantic.Field(min_length=2, max_length=16, pattern=f"^{forms.MEMORY.pattern}$")]
UserId = Annotated[int, pydantic.Field(ge=1, le=2_147_483_647)]


class TolerationOperator(enum.StrEnum):
    """How a toleration matches a taint."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(enum.StrEnum):
    """What a taint does."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(ApiModel):
    """A taint that pods of this stage accept, as in a pod's spec."""

    rules = (
        ValidationRule(
            cel="!has(self.operator) || self.operator != 'Exists' || !has(self.value)",
            holds=lambda toleration: toleration.operator != TolerationOperator.EXISTS or toleration.value is None,
            message="operator Exists takes no value; leave value out or use operator Equal",
            path=".value",
        ),
        ValidationRule(
            cel="has(self.key) || has(self.operator) && self.operator == 'Exists'",
            holds=lambda toleration: toleration.key is not None or toleration.operator == TolerationOperator.EXISTS,
            message="a toleration without key tolerates every taint and needs operator Exists",
            path=".key",
        ),
    )
    key: Annotated[str, pydantic.Field(min_length=1, max_length=253)] | None = None
    """Key of the taint; every taint if absent (operator Exists only)."""
    operator: TolerationOperator = TolerationOperator.EQUAL
    """Equal (if absent) compares the value, Exists takes any."""
    value: LabelValue | None = None
    """Value of the taint; only with operator Equal."""
    effect: TaintEffect | None = None
    """Every effect if absent."""
    toleration_seconds: Annotated[int, pydantic.Field(ge=0, le=2_592_000)] | None = None
    """How long a NoExecute taint is tolerated; for ever if absent."""


class ProfileStage(ApiModel):
    """Resources and placement of one stage's pods."""

    requests: Resources = pydantic.Field(default={})
    """Resource requests by name; GPUs are added from the spec of the ModelRefresh."""
    limits: Resources = pydantic.Field(default={})
    """Resource limits by name; GPUs are added from the spec of the ModelRefresh."""
    node_selector: Annotated[Mapping[str, LabelValue], pydantic.Field(max_length=16)] = {}
    """Labels that a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], pydantic.Field(max_length=16)] = ()
    """Taints that the pods accept."""
    timeout_seconds: int = pydantic.Field(default=86_400, ge=10, le=2_592_000)
    """activeDeadlineSeconds of one attempt."""


class NamespaceSelector(ApiModel):
    """Namespaces by their labels."""

    match_labels: Annotated[Mapping[str, LabelValue], pydantic.Field(max_length=16), _SOME]
    """Labels that the Namespace must have, all of them."""


class ProfileLimits(ApiModel):
    """What tenants may ask for at most; a spec beyond it gets the reason ProfileForbids."""

    gpus_per_node: int = pydantic.Field(default=8, ge=0, le=16)
    """Largest spec.training.gpusPerNode."""
    nodes: int = pydantic.Field(default=1, ge=1, le=64)
    """Largest spec.training.nodes."""
    max_tokens: int = pydantic.Field(default=1_000_000_000, ge=1, le=100_000_000_000)
    """Largest spec.training.maxTokens, times spec.training.epochs rounded up."""
    evaluation_tokens: int = pydantic.Field(default=20_000_000, ge=1, le=100_000_000_000)
    """Largest number of suites, for both models and each factor of a search, times maxItems, times maxNewTokens."""
    generated_tokens: int = pydantic.Field(default=GENERATED_TOKENS, ge=0, le=GENERATED_TOKENS)
    """Most tokens of replay that a model may write itself, hours of one GPU; 0 forbids it."""
    min_checkpoint_seconds: int = pydantic.Field(default=60, ge=1, le=86_400)
    """Smallest spec.training.checkpointSeconds: each checkpoint writes three times the model."""
    versions: int = pydantic.Field(default=20, ge=1, le=1000)
    """Largest spec.retain.versions: each is a whole model on the workspace."""
    attempts: int = pydantic.Field(default=3, ge=1, le=10)
    """Attempts of one stage that failed by their own fault; disruptions do not count."""


class ProfileSpec(ApiModel):
    """Everything that can hurt, in the platform admin's hands."""

    rules = (
        ValidationRule(
            cel="has(self.namespaces) && self.namespaces.size() > 0 || has(self.namespaceSelector)",
            holds=lambda spec: bool(spec.namespaces) or spec.namespace_selector is not None,
            message='say who may use the profile: a list of names, "*" for all, or namespaceSelector',
            path=".namespaces",
        ),
        ValidationRule(
            cel="!has(self.namespaces) || self.namespaces.size() < 2 || !self.namespaces.exists(name, name == '*')",
            holds=lambda spec: len(spec.namespaces) < 2 or "*" not in spec.namespaces,  # noqa: PLR2004 -- two are more than one
            message='"*" means every namespace and stands alone',
            path=".namespaces",
        ),
    )
    image: Annotated[str, pydantic.Field(min_length=1, max_length=512), _BY_DIGEST]
    """Jobs image, NAME@sha256:DIGEST."""
    image_pull_secrets: tuple[ObjectName, ...] = pydantic.Field(default=(), max_length=8)
    """Secrets in the tenant's namespace to pull the image with."""
    service_account: ObjectName = "default"
    """ServiceAccount of every stage's pod; needs no permission, no token is mounted."""
    workspace_claim: ObjectName = "workspace"
    """PersistentVolumeClaim in the tenant's namespace for runs, residuals and versions."""
    gpu_resource: str = pydantic.Field(
        default="nvidia.com/gpu", min_length=1, max_length=253, pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$"
    )
    """Resource name under which nodes offer GPUs."""
    gpu_memory: GpuMemory | None = None
    """Memory of each GPU, such as 80Gi; a training that cannot fit ends in prepare. Not looked at if absent."""
    hub_token_secret: ObjectName | None = None
    """Secret (key `token`) mounted as a file for hf:// sources; none is mounted if absent."""
    namespaces: Annotated[tuple[NamespaceName, ...], pydantic.Field(max_length=256)] = ()
    """Namespaces whose objects may use this profile; "*" alone means all. This or namespaceSelector must be there."""
    namespace_selector: NamespaceSelector | None = None
    """The same by labels of the Namespace; whoever may label namespaces then decides."""
    allowed_sources: Annotated[tuple[SourcePrefix, ...], pydantic.Field(min_length=1, max_length=64)]
    """What tenants may read: URIs that are such a prefix or lie below it, as pvc://CLAIM/FOLDER or hf://ORG.

    Whoever may write a ModelRefresh reads with it, so name claims that hold nothing else; pvc:// means every claim
    of the tenant's own namespace.
    """
    queue: Name | None = None
    """Kueue LocalQueue named on every Job; no queue if absent."""
    priority_class: Annotated[ObjectName, _NOT_SYSTEM] | None = None
    """PriorityClass of every stage's pod; the cluster's default if absent."""
    runtime_class: ObjectName | None = None
    """RuntimeClass of every stage's pod; the cluster's default if absent."""
    limits: ProfileLimits = ProfileLimits()
    """What tenants may ask for at most."""
    stages: Annotated[Mapping[str, ProfileStage], pydantic.Field(max_length=8), _KNOWN_STAGES] = {}
    """Settings by stage name: extract, import, prepare, train, search, merge, evaluate, sweep."""
    stage_defaults: ProfileStage = ProfileStage()
    """Settings of every stage that `stages` does not name."""
    run_as_user: UserId | None = None
    """User id of every stage's process; the image's own if absent."""
    host_users: bool | None = None
    """False gives every stage's pod a user namespace of its own (KEP-127); the cluster's default if absent."""
    fs_group: UserId | None = None
    """Group id that owns mounted volumes; unchanged if absent."""
