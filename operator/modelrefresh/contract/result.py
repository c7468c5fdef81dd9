"""What a Job answers: `result.json` on the workspace and, in short, the termination message.

The termination message is the only channel that the operator reads (Kubernetes keeps at
most 4 KiB of it), so every summary here must fit; longer detail belongs into result.json.
Numbers are plain measurements: whether they are good enough is the operator's verdict.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from modelrefresh.contract import codec
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stage_request import Digest
from modelrefresh.contract.vocabulary import Stage

TERMINATION_LIMIT = 4096
"""Bytes of termination message that Kubernetes keeps (KEP-2579 leaves it at 4096 per container)."""
DATE = codec.Form(pattern=r"\d{4}-\d\d-\d\d(T[0-9:.]{4,15}([+-]\d\d:\d\d|Z)?)?", says="an ISO date")
MESSAGE_LIMIT = 1500
"""Bytes of `message` that go into the termination message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractSummary:
    """A stored residual."""

    digest: Digest
    base_fingerprint: Digest
    """Content fingerprint of the base; a merge refuses any other base."""
    instruct_fingerprint: Digest
    architecture: str
    parameters: int
    bytes: int
    relative_norm: float
    """`||instruct - base|| / ||base||` over all weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSummary:
    """A registered stock model."""

    digest: Digest
    architecture: str
    parameters: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareSummary:
    """Data of one run, prepared."""

    fingerprint: Digest
    unchanged: bool
    documents: int
    kept: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Documents dropped, by reason: empty, too_short, duplicate, near_duplicate, over_budget; with `kept` all."""
    tokens: int
    """Tokens in the blocks, replay included, padding not."""
    replay_tokens: int
    blocks: int
    newest: Annotated[str, DATE] | None = None
    """Date of the newest document in the blocks as ISO text, where the records carry one."""
    overlap: Mapping[str, float] = field(default_factory=dict)
    """Share of each suite's items of at least 8 words that stand in the training text, 0-1; none without such."""
    cut: int | None = None
    """Documents of which only the beginning fitted."""
    unusable_dates: int | None = None
    """Documents whose date cannot be read or lies after the day of the prepare stage; they count as undated."""
    ignored_files: int | None = None
    """Files of the source that are not read."""
    ignored_examples: str | None = None
    """The first of their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSummary:
    """Continual pretraining."""

    steps: int
    tokens: int
    """Tokens that went through the model, each as often as it did; padding is none."""
    first_loss: float
    last_loss: float
    seconds: float
    tokens_per_second: float
    resumed_step: int = 0
    """Step of the checkpoint this attempt went on from; 0 from the start."""
    lost_steps: int = 0
    """Steps of the attempt before that had to be done again."""
    start_fingerprint: Digest
    """Content fingerprint of the model that was trained on."""
    passes: float | None = None
    """How often each block was met, on average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeSummary:
    """A sealed candidate."""

    digest: Digest
    parameters: int
    bytes: int
    drift: float
    """`||trained - start|| / ||start||` over all weights."""
    residual_norm: float
    """`||residual|| / ||start||` over all weights."""
    alignment: float
    """Cosine between the drift and the residual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One metric of one suite, candidate and incumbent on the same items."""

    suite: str
    metric: str
    items: int
    candidate: float
    incumbent: float | None = None
    difference: float | None = None
    """Mean of the per-item differences, candidate minus incumbent."""
    error: float | None = None
    """Standard error of that mean (paired, arXiv 2411.00640)."""
    right: int | None = None
    """Items that the candidate has right, without an incumbent; None for graded metrics and from older stages."""
    gains: int | None = None
    """With an incumbent the items that the candidate alone has right; None for graded metrics and older stages."""
    losses: int | None = None
    """Items that the incumbent alone has right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateSummary:
    """All scores of one evaluation."""

    candidate: Digest
    """Digest that was evaluated."""
    incumbent: Digest | None = None
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSummary:
    """What retention removed."""

    folders: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one attempt of one stage ended."""

    stage: Stage
    run: str
    attempt: int
    exit_code: ExitCode
    reason: str = StageReason.SUCCEEDED
    """A `StageReason`; a text, so that a word of a newer stage does not make its whole result unreadable."""
    message: str = ""
    warnings: tuple[str, ...] = ()
    """What a stage that ended well wants its model owner to look at, a sentence each."""
    nonce: str | None = None
    """`env.NONCE_VARIABLE` of the pod that speaks; in the termination message only, never on the workspace."""
    step: int | None = None
    """Last finished training step, where the stage has steps."""
    extract: ExtractSummary | None = None
    import_: ImportSummary | None = None
    prepare: PrepareSummary | None = None
    train: TrainSummary | None = None
    merge: MergeSummary | None = None
    evaluate: EvaluateSummary | None = None
    sweep: SweepSummary | None = None


def render(result: Result) -> str:
    """The result as JSON text for result.json."""
    return json.dumps(codec.to_document(result), indent=1, sort_keys=True)


def render_short(result: Result) -> str:
    """The result as a termination message of at most `TERMINATION_LIMIT` bytes; only words are ever cut."""
    for limit in (MESSAGE_LIMIT, MESSAGE_LIMIT // 2, MESSAGE_LIMIT // 4, 0):
        document = codec.to_document(result) | {"message": _beginning(result.message, limit)}
        if not limit:
            document |= {"warnings": []}
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        if len(text.encode()) <= TERMINATION_LIMIT:
            break
    return text


def _beginning(message: str, limit: int) -> str:
    """The message in at most so many bytes; it begins with object and cause, so its end goes."""
    data = message.encode(errors="replace")
    mark = "…" if len(data) > limit > 0 else ""
    return data[: limit - len(mark.encode())].decode(errors="ignore") + mark


def parse(text: str) -> Result:
    """The result behind a termination message or a result.json; what a newer stage adds to it is passed over.

    Raises:
        CodecError: not JSON or another shape; the caller must treat the stage as failed.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise codec.CodecError(f"result: not JSON: {error}") from error
    return codec.from_document(Result, codec.known(Result, document))
