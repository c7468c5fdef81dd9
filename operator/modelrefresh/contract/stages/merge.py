"""Stage `merge`: the residual added to the trained weights."""

from dataclasses import dataclass
from typing import Annotated

from modelrefresh.contract import artifacts, defaults, limits
from modelrefresh.contract.forms import Digest, Uri
from modelrefresh.contract.vocabulary import Strategy

PUBLISHES = (artifacts.VERSIONS,)


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeInput:
    """`theta_new = theta_trained + scale * residual`, written as `versions/<digest>/`."""

    start: Uri
    """The model that training started from; must be the residual's base."""
    strategy: Strategy = defaults.STRATEGY
    """Residual adds the residual to what was trained, Direct takes it as it is."""
    residual: Digest
    """Digest under `residuals/`; it also gives tokenizer, chat template and generation_config."""
    scale: Annotated[float, limits.SCALE] = limits.SCALE.decimal
    """Factor of the residual; 1.0 in the paper."""


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
