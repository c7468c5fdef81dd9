"""Stage `merge`: residuals added to the trained weights."""

from dataclasses import dataclass
from typing import Annotated

from modelrefresh.contract import artifacts, defaults, limits
from modelrefresh.contract.forms import TENSORS, Digest, Uri
from modelrefresh.contract.vocabulary import Strategy, Transfer

PUBLISHES = (artifacts.VERSIONS,)


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorScale:
    """A factor of some tensors' own."""

    tensors: Annotated[str, TENSORS]
    """Names as a shell pattern, such as `*.mlp.*`."""
    scale: Annotated[float, limits.SCALE]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedResidual:
    """A residual beside the one that makes the instruct model."""

    residual: Digest
    """Digest under `residuals/`; cut from the start, or from the instruct model of the other."""
    scale: Annotated[float, limits.SCALE] = limits.SCALE.decimal
    transfer: Transfer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeInput:
    """`(1 - p) * (theta_trained + scale * residual + scale_1 * added_1 + ...) + p * theta_previous`.

    Written as `versions/<digest>/`; p is `previous_share`.
    """

    start: Uri
    """The model that training started from; must be the residual's base, unless it is transferred."""
    strategy: Strategy = defaults.STRATEGY
    """Residual adds the residual to what was trained, Direct takes it as it is."""
    residual: Digest
    """Digest under `residuals/`; it also gives tokenizer, chat template and generation_config."""
    scale: Annotated[float, limits.SCALE] = limits.SCALE.decimal
    """Factor of the residual; 1.0 in the paper."""
    scales: tuple[TensorScale, ...] = ()
    """Factors of the residual for some tensors instead, the first pattern that a name matches."""
    transfer: Transfer | None = None
    """SameFamily adds the residual to another base of its family; absent to its own base only."""
    added: tuple[AddedResidual, ...] = ()
    """More residuals, added in the same pass; with SameFamily one that was cut from another base of the family."""
    previous: Digest | None = None
    """Digest under `versions/` that the sum is averaged with; nothing is if absent."""
    previous_share: Annotated[float, limits.PREVIOUS_SHARE] | None = None
    """Its share in the average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeSummary:
    """A sealed candidate."""

    digest: Digest
    parameters: int
    bytes: int
    drift: float
    """`||trained - start|| / ||start||` over all weights."""
    residual_norm: float
    """`||residual|| / ||start||` over all weights, of the main residual before any factor; `added` is left out."""
    alignment: float
    """Cosine between the drift and that residual."""
