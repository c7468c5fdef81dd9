"""Stage `import`: what served before the first candidate, as a version."""

from dataclasses import dataclass

from modelrefresh.contract import artifacts
from modelrefresh.contract.forms import Digest, Uri
from modelrefresh.contract.stages.merge import MergeInput

PUBLISHES = (artifacts.VERSIONS,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportInput:
    """Register a model as `versions/<digest>/`, version zero."""

    instruct: Uri | None = None
    """The instruct model, which is copied."""
    transferred: MergeInput | None = None
    """The untrained base with the residual added, where that is registered instead; its `start` counts as trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSummary:
    """A registered stock model."""

    digest: Digest
    architecture: str
    parameters: int
    bytes: int
