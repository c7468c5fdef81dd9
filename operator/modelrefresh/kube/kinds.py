"""Kinds of objects that the operator touches, and where the API serves them.

Knows group, version, plural and scope of each kind, nothing of their content.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from modelrefresh.api import names


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind as the API server addresses it."""

    group: str
    """Empty for the core group."""
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`group/version` as it stands in a document."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, *, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """URL path of a collection, an object or a subresource."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/" + "/".join(quote(part, safe="") for part in parts)


def _own(kind: str, *, namespaced: bool = True) -> Kind:
    return Kind(group=names.GROUP, version=names.VERSION, plural=names.PLURALS[kind], kind=kind, namespaced=namespaced)


MODEL_REFRESH: Final = _own(names.REFRESH)
INSTRUCTION_RESIDUAL: Final = _own(names.RESIDUAL)
MODEL_VERSION: Final = _own(names.MODEL_VERSION)
REFRESH_PROFILE: Final = _own(names.PROFILE, namespaced=False)

JOB: Final = Kind(group="batch", version="v1", plural="jobs", kind="Job")
DEPLOYMENT: Final = Kind(group="apps", version="v1", plural="deployments", kind="Deployment")
POD: Final = Kind(group="", version="v1", plural="pods", kind="Pod")
SERVICE: Final = Kind(group="", version="v1", plural="services", kind="Service")
CLAIM: Final = Kind(group="", version="v1", plural="persistentvolumeclaims", kind="PersistentVolumeClaim")
NAMESPACE: Final = Kind(group="", version="v1", plural="namespaces", kind="Namespace", namespaced=False)
NETWORK_POLICY: Final = Kind(group="networking.k8s.io", version="v1", plural="networkpolicies", kind="NetworkPolicy")
EVENT: Final = Kind(group="", version="v1", plural="events", kind="Event")
LEASE: Final = Kind(group="coordination.k8s.io", version="v1", plural="leases", kind="Lease")
ACCESS_REVIEW: Final = Kind(
    group="authorization.k8s.io",
    version="v1",
    plural="selfsubjectaccessreviews",
    kind="SelfSubjectAccessReview",
    namespaced=False,
)

OWN: Final = (MODEL_REFRESH, INSTRUCTION_RESIDUAL, MODEL_VERSION, REFRESH_PROFILE)

OF: Final = {kind.kind: kind for kind in OWN}
"""Our kinds by the word in a document."""
