"""Stage `import`: the stock instruct model as a version."""

from dataclasses import dataclass

from modelrefresh.contract import artifacts
from modelrefresh.contract.forms import Digest, Uri

PUBLISHES = (artifacts.VERSIONS,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportInput:
    """Register the stock instruct model as `versions/<digest>/`, version zero."""

    instruct: Uri
    """The instruct model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSummary:
    """A registered stock model."""

    digest: Digest
    architecture: str
    parameters: int
    bytes: int
