"""What model owners write of serving: where a passed candidate goes, who lets it, what serves before the first one."""

import enum
from typing import ClassVar

import pydantic

from modelrefresh.api.model import ApiModel
from modelrefresh.api.spec_types import Name, ObjectName


class Approval(enum.StrEnum):
    """Who lets a passed candidate serve."""

    AUTOMATIC = "Automatic"
    MANUAL = "Manual"


class Stock(enum.StrEnum):
    """What serves before the first candidate, version zero."""

    INSTRUCT = "Instruct"
    """The instruct model that the residual was cut from."""
    TRANSFERRED = "Transferred"
    """The untrained base with the transferred residual added."""
    NONE = "None"
    """Nothing: the first candidate has no incumbent."""


class DeploymentTarget(ApiModel):
    """The Deployment that serves."""

    field: ClassVar[str] = "deployment"
    kind: ClassVar[str] = "Deployment"
    name: ObjectName
    """Name of a Deployment in this namespace."""
    container: Name | None = None
    """Container whose MODELREFRESH_MODEL is set; the only one if absent."""


class Rollout(ApiModel):
    """Where a passed candidate goes."""

    deployment: DeploymentTarget
    """The Deployment that serves; one ModelRefresh per Deployment."""
    approval: Approval = Approval.AUTOMATIC
    """Automatic rolls a passed candidate out; Manual waits for the annotation modelrefresh.dev/approve."""
    progress_deadline_seconds: int = pydantic.Field(default=1200, ge=10, le=86_400)
    """A rollout that is not available by then goes back to the previous version."""
    stock: Stock | None = None
    """What serves before the first candidate: Instruct (if absent), Transferred or None; to be said with a transfer."""

    @property
    def target(self) -> DeploymentTarget:
        """What serves, of whatever kind."""
        return self.deployment
