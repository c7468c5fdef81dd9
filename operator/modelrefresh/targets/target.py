"""What the file of a target offers: all that the operator knows of one kind of thing that serves."""

from typing import Protocol

from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Port
from modelrefresh.plan.actions import Hold, Serve
from modelrefresh.plan.observed import Meta, ObservedTarget


class Target(Protocol):
    """A kind that may serve versions; a module with these names is one."""

    @property
    def FIELD(self) -> str:  # noqa: N802 -- a constant of a module
        """The field of `spec.rollout` in which a refresh names its target."""

    @property
    def KIND(self) -> Kind:  # noqa: N802 -- a constant of a module
        """Objects of this kind that carry `names.LABEL_REFRESH` are watched."""

    @property
    def RIGHTS(self) -> tuple[str, ...]:  # noqa: N802 -- a constant of a module
        """Verbs on it that the operator needs; the chart grants exactly these."""

    async def observe(self, port: Port, namespace: str, name: str, workspace: str, /) -> ObservedTarget | None:
        """What it is now; None where it does not exist. `workspace` is the claim whose mounts matter."""

    async def served(self, port: Port, namespace: str, most: int, /) -> list[str | None]:
        """For each object of the namespace that ever served a version of ours what it names; `most` at most."""

    async def apply(self, port: Port, action: Hold | Serve, meta: Meta, /) -> None:
        """Hold it for this refresh, or point it at a version. Done twice it changes nothing more."""
