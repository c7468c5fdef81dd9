"""Stage `sweep`: what retention no longer keeps is removed."""

from dataclasses import dataclass

from modelrefresh.contract import artifacts
from modelrefresh.contract.forms import Digest

PUBLISHES = (artifacts.VERSIONS,)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepInput:
    """Remove exactly these folders; one that is not there counts as removed."""

    runs: tuple[str, ...] = ()
    """Run ids below `runs/<owner>/`."""
    versions: tuple[Digest, ...] = ()
    """Digests below `versions/`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSummary:
    """What retention removed."""

    folders: int
    bytes: int
