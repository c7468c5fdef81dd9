"""Stage `extract`: the instruction residual of a base and its instruct model."""

from dataclasses import dataclass

from modelrefresh.contract import artifacts
from modelrefresh.contract.forms import Digest, Uri

PUBLISHES = (artifacts.RESIDUALS,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractInput:
    """Cut the instruction residual `instruct - base` into `residuals/<digest>/`."""

    base: Uri
    """The base model."""
    instruct: Uri
    """The instruct model that was made from this base."""


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
