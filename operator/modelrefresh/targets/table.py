"""All targets."""

from typing import Final

from modelrefresh.targets import deployment
from modelrefresh.targets.target import Target

TARGETS: Final[tuple[Target, ...]] = (deployment,)


def of(kind: str) -> Target:
    """The target of this kind."""
    return next(target for target in TARGETS if target.KIND.kind == kind)
