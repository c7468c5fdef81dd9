"""What model owners write: the specs of ModelRefresh and InstructionResidual.

These pydantic models are the one source: `api/schema.py` turns them into the CRDs, the
operator reads objects with the same models (`parse`). What only the cluster can know, such
as a missing claim, is no matter of the schema: it becomes a condition.
"""

from typing import Annotated, Final

import pydantic

from modelrefresh.api import schedule_rules
from modelrefresh.api.evaluation import Evaluation, Suite
from modelrefresh.api.merging import AddedResidual, Average, ResidualRef, ResidualSettings
from modelrefresh.api.model import ApiModel, ListMap, ValidationRule, whole
from modelrefresh.api.rollout import Rollout, Stock
from modelrefresh.api.sources import Source, Uri, same_place
from modelrefresh.api.spec_types import (
    DecayRatio,
    Epochs,
    LearningRate,
    MinLearningRateRatio,
    ObjectName,
    Schedule,
    TimeZone,
    WarmupRatio,
)
from modelrefresh.contract import defaults, limits, uris
from modelrefresh.contract.vocabulary import LearningRateSchedule, Method, Sampling, Strategy

_DEVICE_TOKENS: Final = 4_194_304
"""Tokens per device and step beyond which no accelerator holds the activations."""


class Replay(ApiModel):
    """General text mixed in against forgetting: a corpus, or what the model writes itself."""

    rules = (
        ValidationRule(
            cel="has(self.uri) != self.generate",
            holds=lambda replay: (replay.uri is not None) != replay.generate,
            message="replay wants either a uri or generate: true",
            path=".uri",
        ),
    )
    uri: Uri | None = None
    """Corpus: pvc://CLAIM/PATH in this namespace, or hf://ORG/NAME@REVISION with a full commit hash."""
    generate: bool = False
    """Where there is no corpus: the model that training starts from writes the text, sampled from its own beginning."""
    percent: int = whole(limits.REPLAY_PERCENT)
    """Share of replay tokens in the packed blocks, in percent."""


class Data(Source):
    """New text to learn: jsonl, ndjson, json and text files (also .gz or .zst) and parquet files below the path."""

    text_field: str = pydantic.Field(
        default=defaults.TEXT_FIELD, min_length=1, max_length=63, pattern=rf"^[^${uris.UNSEEN}]+$"
    )
    """Field of a record that holds the text; no $, which Kubernetes would expand on the way to the Job."""
    sampling: Sampling = defaults.SAMPLING
    """Which documents are learnt when maxTokens does not hold all: Newest by their dates first, or Uniform by seed."""
    replay: Replay | None = None
    """General text mixed in against forgetting; none if absent."""


class LoraSettings(ApiModel):
    """Low-rank adapters on all linear layers."""

    rank: int = whole(limits.LORA_RANK)
    """Rank of the adapters."""
    alpha: int = whole(limits.LORA_ALPHA)
    """Scaling: the adapters count alpha / rank times."""
    embeddings: bool = defaults.LORA_EMBEDDINGS
    """Also train embeddings and head in full, at the adapters' rate, which is high for them: seldom wanted."""


class Training(ApiModel):
    """Continual pretraining."""

    strategy: Strategy = defaults.STRATEGY
    """Residual trains the base and adds the residual; Direct trains the instruct model (for comparison)."""
    method: Method = defaults.METHOD
    """LoRA trains low-rank adapters, Full trains all weights."""
    max_tokens: int = whole(limits.MAX_TOKENS)
    """Most tokens that one pass trains on, replay included; documents beyond it are left out and reported."""
    sequence_length: int = whole(limits.SEQUENCE_LENGTH)
    """Tokens per block."""
    learning_rate: LearningRate | None = None
    """Peak learning rate, a decimal in quotes; more than 0, at most 1. If absent 2e-4 for LoRA, 2e-5 for Full."""
    learning_rate_schedule: LearningRateSchedule = defaults.LEARNING_RATE_SCHEDULE
    """How the rate goes on after the warm-up: Linear to zero, Cosine, Constant, or WarmupStableDecay."""
    warmup_ratio: WarmupRatio = str(limits.WARMUP_RATIO.default)
    """Share of the steps over which the rate rises from zero, a decimal in quotes from 0 to 1."""
    min_learning_rate_ratio: MinLearningRateRatio | None = None
    """Where Cosine ends, as a share of the peak, a decimal in quotes from 0 to 1; 0 if absent."""
    decay_ratio: DecayRatio | None = None
    """Share of the steps over which WarmupStableDecay falls to zero, a decimal in quotes; 0.2 if absent."""
    epochs: Epochs = str(limits.EPOCHS.default)
    """Passes over the blocks, a decimal in quotes; more than 0, at most 100. Never more, to fill a step."""
    batch_size: int = whole(limits.BATCH_SIZE)
    """Sequences per device and step."""
    gradient_accumulation: int = whole(limits.GRADIENT_ACCUMULATION)
    """Steps whose gradients are summed before the weights change."""
    nodes: int = whole(limits.NODES)
    """Training pods that work together; the profile limits them."""
    gpus_per_node: int = whole(limits.GPUS_PER_NODE)
    """GPUs of each training pod; 0 trains on CPU."""
    zero_stage: int = whole(limits.ZERO_STAGE)
    """DeepSpeed ZeRO stage: 0 shards nothing, 1 optimizer states, 2 also gradients, 3 also weights."""
    lora: LoraSettings = LoraSettings()
    """Adapters; only read where method is LoRA."""
    checkpoint_seconds: int = whole(limits.CHECKPOINT_SECONDS)
    """Time between checkpoints, which is the most that a lost node costs."""
    stall_seconds: int = whole(limits.STALL_SECONDS)
    """A step that takes longer than this and than ten median steps hangs: the attempt ends and is tried again."""
    seed: int = whole(limits.SEED)
    """Seed of shuffling and of training."""


class Triggers(ApiModel):
    """What opens runs besides a changed spec and the annotation modelrefresh.dev/refresh."""

    schedule: Schedule | None = None
    """Cron expression of five fields, such as `0 3 * * 0`; no scheduled runs if absent."""
    time_zone: TimeZone = "Etc/UTC"
    """IANA time zone of the schedule."""


class Retain(ApiModel):
    """What is kept."""

    versions: int = pydantic.Field(default=3, ge=1, le=100)
    """Versions kept besides the live and the previous one."""
    runs: int = pydantic.Field(default=3, ge=1, le=50)
    """Finished runs whose Jobs and scratch are kept."""


class RefreshSpec(ApiModel):
    """The loop: data in, better model served."""

    rules = (
        ValidationRule(
            cel="self.training.strategy != 'Direct' || self.residual.scale in ['1', '1.0']",
            holds=lambda spec: spec.training.strategy != Strategy.DIRECT or spec.residual.scale in ("1", "1.0"),
            message="training.strategy Direct adds no residual, so residual.scale would be ignored; leave it out",
            path=".residual.scale",
        ),
        ValidationRule(
            cel="self.training.strategy != 'Direct' || (!has(self.residual.search) && !has(self.residualRef.transfer)"
            " && (!has(self.residual.scales) || self.residual.scales.size() == 0)"
            " && (!has(self.residuals) || self.residuals.size() == 0))",
            holds=lambda spec: spec.training.strategy != Strategy.DIRECT or not spec.composes,
            message="training.strategy Direct adds no residual; leave out residual.scales, residual.search, residuals "
            "and residualRef.transfer",
            path=".training.strategy",
        ),
        ValidationRule(
            cel="!has(self.residual.search) || self.residual.scale in ['1', '1.0']",
            holds=lambda spec: spec.residual.search is None or spec.residual.scale in ("1", "1.0"),
            message="residual.search chooses the factor, so residual.scale would be ignored; leave it out",
            path=".residual.scale",
        ),
        ValidationRule(
            cel="!has(self.residual.search) || self.residual.search.suites.all(d, "
            f"!self.evaluation.suites.exists(s, s.name == d.name || {same_place('s', 'd')}))",
            holds=lambda spec: spec.residual.search is None or not spec.searches_by_its_gates,
            message="residual.search.suites must be other questions than those of the evaluation, under other names: "
            "a candidate that was chosen by a suite looks better on it than it is",
            path=".residual.search",
        ),
        ValidationRule(
            cel="!has(self.residuals) || !self.residuals.exists(r, r.name == self.residualRef.name)",
            holds=lambda spec: all(one.name != spec.residual_ref.name for one in spec.residuals),
            message="residuals names the residual of residualRef again; it is added once, with residual.scale",
            path=".residuals",
        ),
        ValidationRule(
            cel="!has(self.residualRef.transfer) || has(self.rollout.stock)",
            holds=lambda spec: spec.residual_ref.transfer is None or spec.rollout.stock is not None,
            message="with residualRef.transfer say what serves before the first candidate: rollout.stock Instruct (the "
            "residual's own instruct model), Transferred (this base with the residual) or None",
            path=".rollout.stock",
        ),
        ValidationRule(
            cel="!has(self.rollout.stock) || self.rollout.stock != 'Transferred' || has(self.residualRef.transfer)",
            holds=lambda spec: spec.rollout.stock != Stock.TRANSFERRED or spec.residual_ref.transfer is not None,
            message="rollout.stock Transferred needs residualRef.transfer; without it, base and residual give the "
            "instruct model: use Instruct",
            path=".rollout.stock",
        ),
        ValidationRule(
            cel=f"self.training.batchSize * self.training.sequenceLength <= {_DEVICE_TOKENS}",
            holds=lambda spec: spec.training.batch_size * spec.training.sequence_length <= _DEVICE_TOKENS,
            message=f"batchSize times sequenceLength is more than {_DEVICE_TOKENS} tokens per device and step; lower "
            "batchSize and raise gradientAccumulation",
            path=".training.batchSize",
        ),
        ValidationRule(
            cel="self.training.maxTokens >= self.training.sequenceLength",
            holds=lambda spec: spec.training.max_tokens >= spec.training.sequence_length,
            message="maxTokens is less than sequenceLength, so that not one block fits; raise maxTokens",
            path=".training.maxTokens",
        ),
        *schedule_rules.RULES,
    )
    profile: ObjectName = "default"
    """RefreshProfile that says where and with what the stages run."""
    suspend: bool = False
    """Holds back new runs and stages; running Jobs are stopped with a checkpoint and go on later."""
    base: Source
    """The base (not instruction-tuned) model that is trained on."""
    residual_ref: ResidualRef
    """InstructionResidual of this namespace, cut from the same base; it also gives tokenizer and chat template."""
    data: Data
    """New text to learn."""
    training: Training = Training()
    """Continual pretraining."""
    residual: ResidualSettings = ResidualSettings()
    """How the residual is added."""
    residuals: Annotated[
        tuple[AddedResidual, ...], pydantic.Field(max_length=limits.ADDED_RESIDUALS), ListMap("name")
    ] = ()
    """More residuals, added in the same pass: cut from the same base, or from the instruct model of residualRef."""
    average: Average | None = None
    """The candidate is averaged with the version that serves; not if absent."""
    evaluation: Evaluation
    """What decides whether a candidate may serve."""
    rollout: Rollout
    """Where a passed candidate goes."""
    triggers: Triggers = Triggers()
    """What opens runs besides a changed spec and the annotation modelrefresh.dev/refresh."""
    retain: Retain = Retain()
    """What is kept."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """All that the stages of a run read, but for the models of the residuals."""
        corpus = self.data.replay.uri if self.data.replay else None
        replay = (Source(uri=corpus),) if corpus else ()
        return (self.base, self.data, *replay, *self.evaluation.suites, *self.dev_suites)

    @property
    def dev_suites(self) -> tuple[Suite, ...]:
        """Questions by which a factor is chosen."""
        return self.residual.search.suites if self.residual.search else ()

    @property
    def composes(self) -> bool:
        """Whether the sum is more than one residual of this base with one factor."""
        settings = self.residual
        return bool(self.residuals or settings.scales or settings.search or self.residual_ref.transfer)

    @property
    def searches_by_its_gates(self) -> bool:
        """Whether a factor would be chosen by questions of the evaluation."""
        names, places = ({getattr(one, key) for one in self.evaluation.suites} for key in ("name", "place"))
        return any(one.name in names or one.place in places for one in self.dev_suites)


class ResidualSpec(ApiModel):
    """A base and instruct pair whose difference is stored; immutable, because many refreshes rely on it."""

    rules = (
        ValidationRule(
            cel="self == oldSelf",
            holds=lambda _: True,
            message="the spec of an InstructionResidual never changes; create a new InstructionResidual with another "
            "name and point residualRef at it",
        ),
        ValidationRule(
            cel="self.base.uri != self.instruct.uri",
            holds=lambda spec: spec.base.uri != spec.instruct.uri,
            message="instruct is the same as base, so the residual would be zero; name the instruct model of that base",
            path=".instruct.uri",
        ),
    )
    profile: ObjectName = "default"
    """RefreshProfile that says where and with what the extract stage runs."""
    base: Source
    """The base model."""
    instruct: Source
    """The instruction-tuned model that was made from this base."""
