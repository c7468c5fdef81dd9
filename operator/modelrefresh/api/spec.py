"""What users write: the specs of ModelRefresh, InstructionResidual and RefreshProfile.

These pydantic models are the one source: `api/schema.py` turns them into the CRDs, the
operator parses with the same models (parse() below). Decimals are strings, so that no
float rounding lies between YAML and gate. Every string, list and map is bounded.
"""

import enum
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import pydantic
from pydantic.alias_generators import to_camel

from modelrefresh import errors
from modelrefresh.contract.env import Method, Strategy, Task

Uri = Annotated[str, pydantic.Field(min_length=7, max_length=512, pattern=r"^(pvc|hf)://[^\s]+$")]
Decimal = Annotated[str, pydantic.Field(max_length=16, pattern=r"^-?[0-9]+(\.[0-9]+)?(e-?[0-9]{1,2})?$")]
Name = Annotated[str, pydantic.Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
ObjectName = Annotated[str, pydantic.Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]


class Part(pydantic.BaseModel):
    """Common form of all parts: immutable, camelCase outside, unknown fields refused."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )


class Source(Part):
    """A place to read from."""

    uri: Uri
    """pvc://CLAIM/PATH in this namespace, or hf://ORG/NAME@REVISION with a full commit hash."""


class NamedRef(Part):
    """An object of this namespace by name."""

    name: ObjectName


class Replay(Source):
    """General text mixed in against forgetting."""

    percent: int = pydantic.Field(default=5, ge=1, le=50)
    """Share of replay tokens in the packed blocks."""


class Data(Source):
    """New text to learn: jsonl, parquet or plain text files below the path."""

    text_field: str = pydantic.Field(default="text", min_length=1, max_length=63)
    """Field of a record that holds the text."""
    replay: Replay | None = None


class LoraSettings(Part):
    """Low-rank adapters on all linear layers."""

    rank: int = pydantic.Field(default=64, ge=1, le=1024)
    alpha: int = pydantic.Field(default=128, ge=1, le=4096)
    embeddings: bool = True
    """Also train embeddings and head in full; new names need them."""


class Training(Part):
    """Continual pretraining."""

    strategy: Strategy = Strategy.RESIDUAL
    """Residual trains the base and adds the residual; Direct trains the instruct model (for comparison)."""
    method: Method = Method.LORA
    max_tokens: int = pydantic.Field(default=100_000_000, ge=1, le=100_000_000_000)
    """Upper bound of tokens after packing; documents beyond it are left out and reported."""
    sequence_length: int = pydantic.Field(default=2048, ge=16, le=131_072)
    learning_rate: Decimal = "2e-5"
    epochs: Decimal = "1"
    batch_size: int = pydantic.Field(default=8, ge=1, le=4096)
    """Sequences per device and step."""
    gradient_accumulation: int = pydantic.Field(default=1, ge=1, le=4096)
    nodes: int = pydantic.Field(default=1, ge=1, le=64)
    gpus_per_node: int = pydantic.Field(default=1, ge=0, le=16)
    """GPUs of each training pod; 0 trains on CPU."""
    zero_stage: int = pydantic.Field(default=2, ge=0, le=3)
    """DeepSpeed ZeRO stage."""
    lora: LoraSettings = LoraSettings()
    checkpoint_seconds: int = pydantic.Field(default=600, ge=1, le=86_400)
    seed: int = pydantic.Field(default=0, ge=0, le=2_147_483_647)


class ResidualSettings(Part):
    """How the residual is added."""

    scale: Decimal = "1.0"
    """Factor of the residual; 1.0 in the paper."""


class Suite(Source):
    """Questions asked of candidate and incumbent."""

    name: Name
    task: Task


class Versus(enum.StrEnum):
    """What a gate compares the candidate with."""

    INCUMBENT = "Incumbent"
    ABSOLUTE = "Absolute"


class Gate(Part):
    """One condition for promotion."""

    suite: Name
    metric: str = pydantic.Field(min_length=1, max_length=63, pattern=r"^[a-z][a-z0-9_]*$")
    versus: Versus = Versus.INCUMBENT
    min_difference: Decimal | None = None
    """versus Incumbent: the candidate minus the incumbent must not lie below this, -1 to 1."""
    min_score: Decimal | None = None
    """versus Absolute: the candidate itself must not lie below this, 0 to 1."""


class Evaluation(Part):
    """What decides."""

    suites: Annotated[tuple[Suite, ...], pydantic.Field(min_length=1, max_length=16)]
    gates: Annotated[tuple[Gate, ...], pydantic.Field(min_length=1, max_length=32)]
    confidence: Decimal = "0.95"
    """One-sided confidence at which a difference must clear its threshold."""
    max_items: int = pydantic.Field(default=1000, ge=1, le=100_000)
    """Items used per suite at most."""
    max_new_tokens: int = pydantic.Field(default=64, ge=1, le=4096)


class Approval(enum.StrEnum):
    """Who lets a passed candidate serve."""

    AUTOMATIC = "Automatic"
    MANUAL = "Manual"


class DeploymentTarget(Part):
    """The Deployment that serves."""

    name: ObjectName
    container: Name | None = None
    """Container whose MODELREFRESH_MODEL is set; the only one if absent."""


class Rollout(Part):
    """Where a passed candidate goes."""

    deployment: DeploymentTarget
    approval: Approval = Approval.AUTOMATIC
    progress_deadline_seconds: int = pydantic.Field(default=1200, ge=10, le=86_400)
    """A rollout that is not available by then goes back to the previous version."""


class Triggers(Part):
    """What opens runs besides a changed spec and the annotation modelrefresh.dev/refresh."""

    schedule: str | None = pydantic.Field(default=None, min_length=9, max_length=100)
    """Cron expression of five fields."""
    time_zone: str = pydantic.Field(default="Etc/UTC", min_length=1, max_length=64)


class Retain(Part):
    """What is kept."""

    versions: int = pydantic.Field(default=3, ge=1, le=100)
    """Versions kept besides the live and the previous one."""
    runs: int = pydantic.Field(default=3, ge=1, le=50)
    """Finished runs whose Jobs and scratch are kept."""


class RefreshSpec(Part):
    """The loop: data in, better model served."""

    profile: ObjectName = "default"
    suspend: bool = False
    """Holds back new runs and stages; running Jobs are stopped with a checkpoint and go on later."""
    base: Source
    residual_ref: NamedRef
    data: Data
    training: Training = Training()
    residual: ResidualSettings = ResidualSettings()
    evaluation: Evaluation
    rollout: Rollout
    triggers: Triggers = Triggers()
    retain: Retain = Retain()


class ResidualSpec(Part):
    """A base and instruct pair whose difference is stored; immutable."""

    profile: ObjectName = "default"
    base: Source
    instruct: Source


class ProfileStage(Part):
    """Resources and placement of one stage's pods."""

    requests: Mapping[str, str] = {}
    limits: Mapping[str, str] = {}
    node_selector: Mapping[str, str] = {}
    tolerations: tuple[Mapping[str, Any], ...] = ()
    timeout_seconds: int = pydantic.Field(default=86_400, ge=10, le=2_592_000)
    """activeDeadlineSeconds of one attempt."""


class ProfileLimits(Part):
    """What tenants may ask for at most."""

    gpus_per_node: int = pydantic.Field(default=8, ge=0, le=16)
    nodes: int = pydantic.Field(default=1, ge=1, le=64)
    max_tokens: int = pydantic.Field(default=1_000_000_000, ge=1, le=100_000_000_000)
    attempts: int = pydantic.Field(default=3, ge=1, le=10)
    """Attempts of one stage that failed by their own fault; disruptions do not count."""


class ProfileSpec(Part):
    """Everything that can hurt, in the platform admin's hands."""

    image: str = pydantic.Field(min_length=1, max_length=512)
    """Jobs image, by digest."""
    image_pull_secrets: tuple[ObjectName, ...] = pydantic.Field(default=(), max_length=8)
    service_account: ObjectName = "default"
    """Needs no permission; no token is mounted."""
    workspace_claim: ObjectName = "workspace"
    """PersistentVolumeClaim in the tenant's namespace for runs, residuals and versions."""
    gpu_resource: str = pydantic.Field(default="nvidia.com/gpu", min_length=1, max_length=253)
    hub_token_secret: ObjectName | None = None
    """Secret (key `token`) mounted as a file for hf:// sources."""
    allowed_sources: tuple[str, ...] = pydantic.Field(default=("pvc://",), max_length=64)
    """Prefixes of URIs that tenants may read."""
    queue: Name | None = None
    """Kueue LocalQueue name put on every Job."""
    priority_class: ObjectName | None = None
    runtime_class: ObjectName | None = None
    limits: ProfileLimits = ProfileLimits()
    stages: Mapping[str, ProfileStage] = {}
    """By stage name: extract, import, prepare, train, merge, evaluate."""
    stage_defaults: ProfileStage = ProfileStage()
    run_as_user: int | None = pydantic.Field(default=None, ge=1, le=4_294_967_294)
    fs_group: int | None = pydantic.Field(default=None, ge=1, le=4_294_967_294)


S = TypeVar("S", bound=Part)


def parse(kind: type[S], document: object) -> S:
    """The spec behind an API object's `spec`.

    Raises:
        SpecError: with every fault, each naming the field, what was seen and what is accepted.
    """
    try:
        return kind.model_validate(document)
    except pydantic.ValidationError as error:
        raise errors.SpecError(tuple(_fault(item) for item in error.errors())) from error


def _fault(item: Any) -> str:  # noqa: ANN401 -- pydantic's ErrorDetails
    path = "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"])
    return f"{path}: {item['msg']} (saw {item['input']!r:.80})"
