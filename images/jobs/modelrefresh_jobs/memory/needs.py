"""Bytes that a training takes on each GPU, part by part, before it starts.

Sources: states of weights under ZeRO arXiv 1910.02054 section 3 and DeepSpeed's estimate_zero2/zero3_model_states_
mem_needs; activations arXiv 2205.05198 section 4, counted anew for gated decoders as transformers runs them, with
attention that stores no scores. Number formats are those of `trainer_arguments`: DeepSpeed holds bf16 weights and
gradients with float32 masters; without it what is trained is float32, under autocast.
"""

from dataclasses import dataclass

from modelrefresh_jobs.memory.shapes import ModelShape

RESERVE = 2 << 30
"""Bytes for CUDA's context, the libraries' workspaces and NCCL; a guess, measured on no GPU yet."""
_BUCKET = 500_000_000
"""Elements of DeepSpeed's reduce bucket, its default."""
_LIVE = 1_000_000_000
"""Elements: most weights that stage 3 keeps gathered, and the part of the optimizer that it steps at once."""
_LOGITS = 12
"""Bytes per logit at the worst moment: log-probabilities, gradient of the loss and of the logits, in float32."""
_LOGITS_FORWARD = 10
"""At the end of the forward pass: in bf16, in float32 and their logarithms."""
_WORKING = 16
"""Bytes per token and hidden element in the backward pass of a normalisation: four float32 gradients."""
_SHARDS_GRADIENTS, _SHARDS_WEIGHTS = 2, 3
"""ZeRO stages from which it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a model is trained, as far as memory depends on it."""

    zero_stage: int
    cards: int
    """GPUs of all nodes, one process each."""
    batch_size: int
    """Sequences per card in one forward pass."""
    sequence_length: int
    """Tokens."""
    recompute: bool = False
    """Activations of a layer are computed again for its backward pass, and only its input is kept."""
    offload: bool = False
    """Optimizer states lie in the memory of the host; stages 2 and 3 only."""

    @property
    def tokens(self) -> int:
        """Tokens of a card in one forward pass."""
        return self.batch_size * self.sequence_length


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Bytes per card, by part."""

    weights: int
    """As the forward pass reads them, with copies in another format."""
    gradients: int
    optimizer: int
    """Float32 masters, where the weights are not, and both moments of Adam."""
    activations: int
    """What the forward pass keeps for the backward pass."""
    logits: int
    """Vocabulary times tokens, in float32 and three times at once, while the loss is differentiated."""
    layer: int
    """What the backward pass of one layer needs, or the gradient of the largest matrix; most of the logits are gone."""
    step: int
    """Float32 gradients while the weights change; activations are gone by then."""
    buffers: int
    """Of ZeRO or of data parallelism, and the reserve."""
    host: int
    """Bytes of the host's memory for each card, with offload."""

    @property
    def states(self) -> int:
        """What stays through a step: weights, gradients, optimizer states."""
        return self.weights + self.gradients + self.optimizer

    @property
    def peak(self) -> int:
        """The most at any one time: at the loss, in a layer's backward pass, or while the weights change."""
        passing = self.activations + max(self.logits, self.layer)
        return self.states + self.buffers + max(passing, self.step)

    @property
    def parts(self) -> dict[str, int]:
        """The parts on the card by name, the largest first."""
        names = ("weights", "gradients", "optimizer", "activations", "logits", "buffers")
        found = {name: int(getattr(self, name)) for name in names}
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def of(shape: ModelShape, setting: Setting) -> Need:
    """What each card needs."""
    states = _under_zero(shape, setting) if setting.zero_stage else _without_zero(shape, setting)
    kept, layer = _kept(shape, setting), _layer(shape, setting)
    working = (_WORKING * shape.hidden + (layer if setting.recompute else 0)) * setting.tokens
    matrix = (2 if setting.zero_stage else 4) * shape.largest_trained + 2 * shape.vocabulary * setting.tokens
    return Need(
        **states,
        activations=kept * setting.tokens,
        logits=_LOGITS * shape.vocabulary * setting.tokens,
        layer=max(working, matrix),
    )


def _under_zero(shape: ModelShape, setting: Setting) -> dict[str, int]:
    stage, cards = setting.zero_stage, setting.cards
    shards_weights = stage >= _SHARDS_WEIGHTS
    share = shape.trained / cards
    gathered = max(2 * min(_LIVE, shape.parameters), 4 * shape.largest) if shards_weights else 0
    buckets = 2 * _BUCKET * (1 if shards_weights else 2)  # overlapping communication takes two
    gradients = share if stage >= _SHARDS_GRADIENTS else shape.trained
    stepped = min(share, _LIVE) if shards_weights else share
    return {
        "weights": _ceil(2 * shape.parameters / (cards if shards_weights else 1)),
        # Offloaded, gradients go to the host bucket by bucket.
        "gradients": 0 if setting.offload else _ceil(2 * gradients),
        "optimizer": 0 if setting.offload else _ceil(12 * share),
        "step": 0 if setting.offload else _ceil(4 * stepped),
        "buffers": RESERVE + gathered + buckets,
        "host": _ceil(16 * share) if setting.offload else 0,
    }


def _without_zero(shape: ModelShape, setting: Setting) -> dict[str, int]:
    frozen = shape.parameters - shape.trained
    copies = 2 * min(shape.linear, shape.trained)  # autocast has a bf16 copy of each linear layer that is trained
    if setting.recompute and shape.is_full:
        # They end with the forward pass, which holds less of the logits; only the head's stays.
        passing = copies - (_LOGITS - _LOGITS_FORWARD) * shape.vocabulary * setting.tokens
        copies = max(2 * shape.vocabulary * shape.hidden, passing)
    return {
        "weights": 4 * shape.trained + 2 * frozen + copies,
        "gradients": 4 * shape.trained,
        "optimizer": 8 * shape.trained,
        "step": 0,
        "buffers": RESERVE + (4 * shape.trained if setting.cards > 1 else 0),
        "host": 0,
    }


def _kept(shape: ModelShape, setting: Setting) -> int:
    """Bytes per token that wait for the backward pass: all layers, the last normalisation and the head's input."""
    stream = 4 if shape.is_full and not setting.zero_stage else 2
    of_layers = stream * shape.hidden if setting.recompute else _layer(shape, setting)
    last = 4 + (stream + 2 if shape.is_full else 0)
    return shape.layers * of_layers + last * shape.hidden


def _layer(shape: ModelShape, setting: Setting) -> int:
    """Bytes per token that one layer's backward pass reads; matrices and attention read bf16, normalisations float32.

    Under autocast each matrix has a bf16 copy of its float32 input of its own.
    """
    autocast = not setting.zero_stage
    normed = (4 + ((4 if autocast else 2) if shape.is_full else 0)) * shape.normed
    inputs = 2 * (5 if autocast else 2) * shape.hidden  # of queries, keys, values; of gate and up
    # Queries, keys and values of all heads, the result; the log-sum, and a row of the mask of packed documents.
    attention = 2 * 4 * shape.attention + 4 * shape.heads + 2 * setting.sequence_length
    adapted = 2 * shape.adapters + (2 * shape.attention if autocast and shape.adapters else 0)
    return normed + inputs + attention + adapted + 2 * 4 * shape.intermediate


def _ceil(value: float) -> int:
    return -int(-value // 1)
