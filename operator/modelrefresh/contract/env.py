"""What the operator asks of a Job: one JSON document in one environment variable.

`StageInput` is the whole request; exactly one of its stage sections is present, the one
named by `stage`. Locations are URIs: `pvc://CLAIM/PATH` is mounted read-only at
`SOURCES/CLAIM/PATH`, `hf://ORG/NAME@REVISION` is fetched into the workspace's cache,
`file:///PATH` is for people who run a stage by hand.
"""

import enum
import json
from dataclasses import dataclass

from modelrefresh.contract import codec

INPUT_VARIABLE = "MODELREFRESH_INPUT"
"""Environment variable that carries the `StageInput` document."""
WORKSPACE = "/workspace"
"""Where the namespace's workspace claim is mounted, writable."""
SOURCES = "/sources"
"""Parent of the read-only mounts of `pvc://` claims, one folder per claim."""
MASTER_VARIABLE = "MODELREFRESH_MASTER_ADDR"
"""Address of the first node's pod, set on training pods of several nodes."""
PROGRESS_PORT = 9400
"""Port on which a stage answers `/progress` (JSON) and `/metrics` (Prometheus text)."""


class Stage(enum.StrEnum):
    """The stages, in the order in which a run meets them; `extract` belongs to InstructionResidual."""

    EXTRACT = "extract"
    IMPORT = "import"
    PREPARE = "prepare"
    TRAIN = "train"
    MERGE = "merge"
    EVALUATE = "evaluate"
    SWEEP = "sweep"
    """Not part of a run: removes what retention no longer keeps."""


class Strategy(enum.StrEnum):
    """Where continual pretraining starts (arXiv 2410.10739, Settings 2 and 1)."""

    RESIDUAL = "Residual"
    """Setting 2: train the base, then add the instruction residual."""
    DIRECT = "Direct"
    """Setting 1: train the instruct model itself; kept for comparison."""


class Method(enum.StrEnum):
    """Which weights continual pretraining changes."""

    LORA = "LoRA"
    FULL = "Full"


class LearningRateSchedule(enum.StrEnum):
    """How the learning rate goes on after the warm-up."""

    LINEAR = "Linear"
    """Down to zero in a straight line."""
    COSINE = "Cosine"
    """Down to zero along half a cosine: longer high, then faster."""
    CONSTANT = "Constant"
    """Stays; what is averaged with other versions later loses least."""


LEARNING_RATES = {Method.LORA: 2e-4, Method.FULL: 2e-5}
"""Peak rates where none is asked for; adapters want about ten times the rate of all weights (LoRA Without Regret)."""


class Sampling(enum.StrEnum):
    """Which documents are learnt when the token budget does not hold all."""

    NEWEST = "Newest"
    """The newest first, by the records' dates; those without a date last, equal dates drawn by seed."""
    UNIFORM = "Uniform"
    """Drawn by seed."""


class Task(enum.StrEnum):
    """How the items of an evaluation suite are put and scored."""

    QUESTION_ANSWERING = "question-answering"
    """`{"question", "answer"}` lines, greedy chat answer; metrics exact_match, contains."""
    INSTRUCTION_FOLLOWING = "instruction-following"
    """`{"question", "pattern"}` lines, the answer must match the pattern in full and stop; metric follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractInput:
    """Cut the instruction residual `instruct - base` into `residuals/<digest>/`."""

    base: str
    instruct: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportInput:
    """Register the stock instruct model as `versions/<digest>/`, version zero."""

    instruct: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteInput:
    """One evaluation suite."""

    name: str
    uri: str
    task: Task


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareInput:
    """Documents in, packed token blocks out."""

    base: str
    """Model whose tokenizer is used."""
    base_fingerprint: str | None = None
    """What that model's weights must be: a residual fits one base only, and no GPU hour is spent on another."""
    data: str
    text_field: str = "text"
    sampling: Sampling = Sampling.NEWEST
    replay: str | None = None
    replay_percent: int = 0
    """Share of replay tokens in the packed blocks, 0-50."""
    sequence_length: int
    max_tokens: int
    """Upper bound of tokens in the blocks; a document that does not fit is passed over."""
    seed: int = 0
    suites: tuple[SuiteInput, ...] = ()
    """Only for the 13-gram overlap between training text and evaluation items."""
    unchanged_fingerprint: str | None = None
    """Fingerprint of the data of the last promoted or rejected run; equal data is reported as unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainInput:
    """Continual pretraining on the blocks of `prepare`."""

    start: str
    """Model that is trained on: the base (Residual) or the instruct model (Direct)."""
    method: Method
    learning_rate: float | None = None
    """Peak; None takes that of the method in `LEARNING_RATES`."""
    sequence_length: int
    epochs: float = 1.0
    """Passes over the blocks; no block is met more often to fill a step."""
    batch_size: int = 8
    """Sequences per device and step."""
    gradient_accumulation: int = 1
    warmup_ratio: float = 0.05
    """Share of the steps over which the learning rate rises from zero, 0-1."""
    learning_rate_schedule: LearningRateSchedule = LearningRateSchedule.LINEAR
    lora_rank: int = 64
    lora_alpha: int = 128
    lora_embeddings: bool = False
    """Train embeddings and head in full beside the adapters, at the same learning rate."""
    zero_stage: int = 0
    nodes: int = 1
    processes_per_node: int = 1
    checkpoint_seconds: int = 600
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeInput:
    """`theta_new = theta_trained + scale * residual`, written as `versions/<digest>/`."""

    start: str
    """The model that training started from; must be the residual's base."""
    strategy: Strategy
    residual: str
    """Digest under `residuals/`; also donor of tokenizer, chat template and generation_config."""
    scale: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateInput:
    """Candidate and incumbent on the same items with the same template."""

    candidate: str
    """Digest under `versions/`."""
    incumbent: str | None
    """Digest under `versions/`; None when nothing serves yet."""
    suites: tuple[SuiteInput, ...]
    max_items: int = 1000
    """Items used per suite at most, the first ones of a fixed shuffle."""
    max_new_tokens: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepInput:
    """Remove exactly these folders; one that is not there counts as removed."""

    runs: tuple[str, ...] = ()
    """Run ids below `runs/<owner>/`."""
    versions: tuple[str, ...] = ()
    """Digests below `versions/`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageInput:
    """One request to one attempt of one stage."""

    stage: Stage
    owner: str
    """Name of the ModelRefresh or InstructionResidual; first part of the scratch path."""
    run: str
    attempt: int = 1
    workspace: str = WORKSPACE
    sources: str = SOURCES
    extract: ExtractInput | None = None
    import_: ImportInput | None = None
    prepare: PrepareInput | None = None
    train: TrainInput | None = None
    merge: MergeInput | None = None
    evaluate: EvaluateInput | None = None
    sweep: SweepInput | None = None


def render(request: StageInput) -> str:
    """The request as the value of `INPUT_VARIABLE`; equal requests give equal text."""
    return json.dumps(codec.to_document(request), sort_keys=True, separators=(",", ":"))


def parse(text: str) -> StageInput:
    """The request behind the value of `INPUT_VARIABLE`.

    Raises:
        CodecError: not JSON, another shape, or the section named by `stage` is missing.
    """
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise codec.CodecError(f"{INPUT_VARIABLE}: not JSON: {error}") from error
    request = codec.from_document(StageInput, document)
    section = "import_" if request.stage is Stage.IMPORT else request.stage.value
    if getattr(request, section) is None:
        raise codec.CodecError(f"{INPUT_VARIABLE}: stage is {request.stage} but section {section!r} is missing")
    return request
