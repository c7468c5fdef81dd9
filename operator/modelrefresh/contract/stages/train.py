"""Stage `train`: continual pretraining."""

from dataclasses import dataclass
from typing import Annotated

from modelrefresh.contract import defaults, limits
from modelrefresh.contract.forms import Digest, Memory, Uri
from modelrefresh.contract.vocabulary import LearningRateSchedule, Method

PUBLISHES: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainInput:
    """Continual pretraining on the blocks of `prepare`."""

    start: Uri
    """Model that is trained on: the base (Residual) or the instruct model (Direct)."""
    method: Method = defaults.METHOD
    """LoRA trains low-rank adapters, Full trains all weights."""
    learning_rate: Annotated[float, limits.LEARNING_RATE] | None = None
    """Peak learning rate; if absent that of the method, 2e-4 for LoRA and 2e-5 for Full (`LEARNING_RATES`)."""
    start_fingerprint: Digest | None = None
    """Fingerprint of its weights, as `prepare` has proven it; hashed again if absent."""
    sequence_length: Annotated[int, limits.SEQUENCE_LENGTH] | None = None
    """Tokens per block, which must be those of the blocks; whatever the blocks have if absent."""
    epochs: Annotated[float, limits.EPOCHS] = limits.EPOCHS.decimal
    """Passes over the blocks; no block is met more often to fill a step."""
    batch_size: Annotated[int, limits.BATCH_SIZE] = limits.BATCH_SIZE.whole
    """Sequences per device and step."""
    gradient_accumulation: Annotated[int, limits.GRADIENT_ACCUMULATION] = limits.GRADIENT_ACCUMULATION.whole
    """Steps whose gradients are summed before the weights change."""
    warmup_ratio: Annotated[float, limits.WARMUP_RATIO] = limits.WARMUP_RATIO.decimal
    """Share of the steps over which the learning rate rises from zero, 0-1."""
    learning_rate_schedule: LearningRateSchedule = defaults.LEARNING_RATE_SCHEDULE
    """How the rate goes on after the warm-up."""
    min_learning_rate_ratio: Annotated[float, limits.MIN_LEARNING_RATE_RATIO] | None = None
    """Where Cosine ends, as a share of the peak; 0 if absent, and of no other schedule."""
    decay_ratio: Annotated[float, limits.DECAY_RATIO] | None = None
    """Share of the steps over which WarmupStableDecay falls; 0.2 if absent, and of no other schedule."""
    lora_rank: Annotated[int, limits.LORA_RANK] = limits.LORA_RANK.whole
    """Rank of the adapters."""
    lora_alpha: Annotated[int, limits.LORA_ALPHA] = limits.LORA_ALPHA.whole
    """Scaling: the adapters count alpha / rank times."""
    lora_embeddings: bool = defaults.LORA_EMBEDDINGS
    """Train embeddings and head in full beside the adapters, at the same learning rate."""
    zero_stage: Annotated[int, limits.ZERO_STAGE] = limits.ZERO_STAGE.whole
    """DeepSpeed ZeRO stage: 0 shards nothing, 1 optimizer states, 2 also gradients, 3 also weights."""
    nodes: Annotated[int, limits.NODES] = limits.NODES.whole
    """Pods that train together; more than 1 only in an Indexed Job."""
    processes_per_node: Annotated[int, limits.PROCESSES_PER_NODE] = limits.PROCESSES_PER_NODE.whole
    """Training processes of each node, one per GPU."""
    gpu_memory: Memory | None = None
    """Memory of each GPU, such as 80Gi, into which the training must fit; what the device has if absent."""
    checkpoint_seconds: Annotated[int, limits.CHECKPOINT_SECONDS] = limits.CHECKPOINT_SECONDS.whole
    """Time between checkpoints, which is the most that a lost node costs."""
    stall_seconds: Annotated[int, limits.STALL_SECONDS] = limits.STALL_SECONDS.whole
    """A step that takes longer than this and than ten median steps hangs: the attempt ends and is tried again."""
    seed: Annotated[int, limits.SEED] = limits.SEED.whole
    """Seed of shuffling and of training."""


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
    skipped_steps: int = 0
    """Steps that were not applied, because their loss or gradient was a spike."""
    start_fingerprint: Digest
    """Content fingerprint of the model that was trained on."""
    passes: float | None = None
    """How often each block was met, on average."""
