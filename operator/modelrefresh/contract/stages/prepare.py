"""Stage `prepare`: documents in, packed token blocks out; what later stages need is proven here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from modelrefresh.contract import defaults, limits
from modelrefresh.contract.forms import DATE, Digest, Uri
from modelrefresh.contract.stages.evaluate import SuiteInput
from modelrefresh.contract.stages.merge import MergeInput
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Sampling

PUBLISHES: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareInput:
    """Documents in, packed token blocks out."""

    base: Uri
    """Model whose tokenizer is used."""
    base_fingerprint: str | None = None
    """What that model's weights must be: a residual fits one base only, and no GPU hour is spent on another."""
    data: Uri
    """New text to learn: a file, or a folder of jsonl, ndjson, json, txt (.gz, .zst) and parquet files."""
    text_field: str = defaults.TEXT_FIELD
    """Field of a record that holds the text."""
    sampling: Sampling = defaults.SAMPLING
    """Which documents are learnt when the budget does not hold all."""
    replay: Uri | None = None
    """General text mixed in against forgetting; none if absent."""
    replay_generated: bool = False
    """Have `base` write the replay itself, where there is no corpus."""
    replay_percent: Annotated[int, limits.REPLAY_PERCENT] = 0
    """Share of replay tokens in the packed blocks, in percent; 0 without replay."""
    sequence_length: Annotated[int, limits.SEQUENCE_LENGTH]
    """Tokens per block."""
    max_tokens: Annotated[int, limits.MAX_TOKENS]
    """Upper bound of tokens in the blocks, replay included; a document that does not fit is passed over."""
    seed: Annotated[int, limits.SEED] = limits.SEED.whole
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
    train: TrainInput | None = None
    """What `train` will be asked."""
    merge: MergeInput | None = None
    """What `merge` will be asked; with the residual alone, that it is added to its own base."""


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
    generated: int = 0
    """Documents of replay that the model wrote itself."""
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
