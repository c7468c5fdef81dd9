"""What the operator asks of a Job: one JSON document in one environment variable.

`StageRequest` is the whole request; exactly one of its stage sections is present, the one
named by `stage`. Locations are URIs: `pvc://CLAIM/PATH` is mounted read-only at
`SOURCES/CLAIM/PATH`, `hf://ORG/NAME@REVISION` is fetched into the workspace's cache,
`file:///PATH` is for people who run a stage by hand.
"""

import json
from dataclasses import dataclass
from typing import Annotated

from modelrefresh.contract import codec, limits
from modelrefresh.contract.vocabulary import LearningRateSchedule, Method, Sampling, Stage, Strategy, Task

INPUT_VARIABLE = "MODELREFRESH_INPUT"
"""Environment variable that carries the `StageRequest` document."""
WORKSPACE = "/workspace"
"""Where the namespace's workspace claim is mounted, writable."""
SOURCES = "/sources"
"""Parent of the read-only mounts of `pvc://` claims, one folder per claim."""
MASTER_VARIABLE = "MODELREFRESH_MASTER_ADDR"
"""Address of the first node's pod, set on training pods of several nodes."""
NONCE_VARIABLE = "MODELREFRESH_NONCE"
"""What the result of this attempt must carry: made by the operator for one Job, unknown to every other pod."""
PROGRESS_PORT = 9400
"""Port on which a stage answers `/progress` (JSON) and `/metrics` (Prometheus text)."""

URI = codec.Form(pattern=r"[a-z0-9]+://.*", says="a URI")
DIGEST = codec.Form(pattern=r"[0-9a-f]{64}", says="a digest of 64 digits 0-9a-f")
Uri = Annotated[str, URI]
"""Where something is read from."""
Digest = Annotated[str, DIGEST]
"""A sealed folder of the workspace by its content; nothing else, so that no request of a pod can name a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractInput:
    """Cut the instruction residual `instruct - base` into `residuals/<digest>/`."""

    base: Uri
    """The base model."""
    instruct: Uri
    """The instruct model that was made from this base."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportInput:
    """Register the stock instruct model as `versions/<digest>/`, version zero."""

    instruct: Uri
    """The instruct model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteInput:
    """One evaluation suite."""

    name: str
    uri: Uri
    task: Task


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareInput:
    """Documents in, packed token blocks out."""

    base: Uri
    """Model whose tokenizer is used."""
    base_fingerprint: str | None = None
    """What that model's weights must be: a residual fits one base only, and no GPU hour is spent on another."""
    data: Uri
    """New text to learn: a file, or a folder of jsonl, ndjson, json, txt (.gz, .zst) and parquet files."""
    text_field: str = "text"
    """Field of a record that holds the text."""
    sampling: Sampling = Sampling.NEWEST
    """Which documents are learnt when the budget does not hold all."""
    replay: Uri | None = None
    """General text mixed in against forgetting; none if absent."""
    replay_percent: Annotated[int, limits.REPLAY_PERCENT] = 0
    """Share of replay tokens in the packed blocks, in percent; 0 without replay."""
    sequence_length: Annotated[int, limits.SEQUENCE_LENGTH]
    """Tokens per block."""
    max_tokens: Annotated[int, limits.MAX_TOKENS]
    """Upper bound of tokens in the blocks, replay included; a document that does not fit is passed over."""
    seed: Annotated[int, limits.SEED] = 0
    """Seed of what is drawn."""
    suites: tuple[SuiteInput, ...] = ()
    """Checked, and searched for in the training text: the 13-gram overlap."""
    unchanged_fingerprint: str | None = None
    """Fingerprint of the data of the last promoted or rejected run; equal data is reported as unchanged."""
    residual: Digest | None = None
    """Digest under `residuals/` that `merge` will add. This and the fields below say what later stages will be asked,
    so that it is proven before them; what is None is not looked at, and none of them changes the data's fingerprint."""
    incumbent: Digest | None = None
    """Digest under `versions/` with which `evaluate` will compare."""
    max_items: Annotated[int, limits.MAX_ITEMS] | None = None
    """Items per suite that `evaluate` will ask."""
    max_new_tokens: Annotated[int, limits.MAX_NEW_TOKENS] | None = None
    """Tokens of an answer in `evaluate`."""
    train: "TrainInput | None" = None
    """What `train` will be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainInput:
    """Continual pretraining on the blocks of `prepare`."""

    start: Uri
    """Model that is trained on: the base (Residual) or the instruct model (Direct)."""
    method: Method = Method.LORA
    """LoRA trains low-rank adapters, Full trains all weights."""
    learning_rate: Annotated[float, limits.LEARNING_RATE] | None = None
    """Peak learning rate; if absent that of the method, 2e-4 for LoRA and 2e-5 for Full (`LEARNING_RATES`)."""
    start_fingerprint: Digest | None = None
    """Fingerprint of its weights, as `prepare` has proven it; hashed again if absent."""
    sequence_length: Annotated[int, limits.SEQUENCE_LENGTH] | None = None
    """Tokens per block, which must be those of the blocks; whatever the blocks have if absent."""
    epochs: Annotated[float, limits.EPOCHS] = 1.0
    """Passes over the blocks; no block is met more often to fill a step."""
    batch_size: Annotated[int, limits.BATCH_SIZE] = 8
    """Sequences per device and step."""
    gradient_accumulation: Annotated[int, limits.GRADIENT_ACCUMULATION] = 1
    """Steps whose gradients are summed before the weights change."""
    warmup_ratio: Annotated[float, limits.WARMUP_RATIO] = 0.05
    """Share of the steps over which the learning rate rises from zero, 0-1."""
    learning_rate_schedule: LearningRateSchedule = LearningRateSchedule.LINEAR
    """How the rate goes on after the warm-up: Linear or Cosine to zero, or Constant."""
    lora_rank: Annotated[int, limits.LORA_RANK] = 64
    """Rank of the adapters."""
    lora_alpha: Annotated[int, limits.LORA_ALPHA] = 128
    """Scaling: the adapters count alpha / rank times."""
    lora_embeddings: bool = False
    """Train embeddings and head in full beside the adapters, at the same learning rate."""
    zero_stage: Annotated[int, limits.ZERO_STAGE] = 0
    """DeepSpeed ZeRO stage: 0 shards nothing, 1 optimizer states, 2 also gradients, 3 also weights."""
    nodes: Annotated[int, limits.NODES] = 1
    """Pods that train together; more than 1 only in an Indexed Job."""
    processes_per_node: Annotated[int, limits.PROCESSES_PER_NODE] = 1
    """Training processes of each node, one per GPU."""
    checkpoint_seconds: Annotated[int, limits.CHECKPOINT_SECONDS] = 600
    """Time between checkpoints, which is the most that a lost node costs."""
    seed: Annotated[int, limits.SEED] = 0
    """Seed of shuffling and of training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeInput:
    """`theta_new = theta_trained + scale * residual`, written as `versions/<digest>/`."""

    start: Uri
    """The model that training started from; must be the residual's base."""
    strategy: Strategy = Strategy.RESIDUAL
    """Residual adds the residual to what was trained, Direct takes it as it is."""
    residual: Digest
    """Digest under `residuals/`; it also gives tokenizer, chat template and generation_config."""
    scale: Annotated[float, limits.SCALE] = 1.0
    """Factor of the residual; 1.0 in the paper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateInput:
    """Candidate and incumbent on the same items with the same template."""

    candidate: Digest
    """Digest under `versions/`."""
    incumbent: Digest | None = None
    """Digest under `versions/`; None when nothing serves yet."""
    suites: tuple[SuiteInput, ...]
    """The questions, files of JSON lines."""
    max_items: Annotated[int, limits.MAX_ITEMS] = 1000
    """Items used per suite at most, the first ones of a fixed shuffle."""
    max_new_tokens: Annotated[int, limits.MAX_NEW_TOKENS] = 64
    """Tokens that an answer may have at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepInput:
    """Remove exactly these folders; one that is not there counts as removed."""

    runs: tuple[str, ...] = ()
    """Run ids below `runs/<owner>/`."""
    versions: tuple[Digest, ...] = ()
    """Digests below `versions/`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRequest:
    """One request to one attempt of one stage."""

    stage: Stage
    owner: str
    """Name of the ModelRefresh or InstructionResidual; first part of the scratch path."""
    run: str
    attempt: int = 1
    workspace: str = WORKSPACE
    sources: str = SOURCES
    allowed: tuple[str, ...] = ()
    """Prefixes of URIs below which everything that is read must lie; none means all of a claim."""
    extract: ExtractInput | None = None
    import_: ImportInput | None = None
    prepare: PrepareInput | None = None
    train: TrainInput | None = None
    merge: MergeInput | None = None
    evaluate: EvaluateInput | None = None
    sweep: SweepInput | None = None


def render(request: StageRequest) -> str:
    """The request as the value of `INPUT_VARIABLE`; equal requests give equal text."""
    return json.dumps(codec.to_document(request), sort_keys=True, separators=(",", ":"))


def parse(text: str) -> StageRequest:
    """The request behind the value of `INPUT_VARIABLE`.

    Raises:
        CodecError: not JSON, another shape, or the section named by `stage` is missing.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise codec.CodecError(f"{INPUT_VARIABLE}: not JSON: {error}") from error
    request = codec.from_document(StageRequest, document)
    section = "import_" if request.stage is Stage.IMPORT else request.stage.value
    if getattr(request, section) is None:
        raise codec.CodecError(f"{INPUT_VARIABLE}: stage is {request.stage} but section {section!r} is missing")
    return request
