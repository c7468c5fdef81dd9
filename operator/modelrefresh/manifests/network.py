"""Who may speak with the pods of stages, and with whom these speak: NetworkPolicies, owned by the object.

Progress is for the operator and whoever scrapes it, everything else among the nodes of one training; to the outside
only names are asked, and the hub by stages that read from it. Claims are mounted by the node, not by the pod.
A cluster whose network enforces no policies is as it was before.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelrefresh.api import names
from modelrefresh.contract import stage_request
from modelrefresh.manifests import labels
from modelrefresh.plan.observed import Meta

HUB: Final = "hub"
"""Value of the label on pods that fetch from the hub."""
_DNS: Final = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
_HTTPS: Final = [{"port": 443, "protocol": "TCP"}]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What the administrator says of stages' pods, as in a NetworkPolicy."""

    progress_from: tuple[Mapping[str, Any], ...]
    """Peers that may read progress: the operator first."""
    egress: tuple[Mapping[str, Any], ...] = ()
    """Further rules, as for storage that pods reach by themselves."""


def policies(network: Network, *, meta: Meta, kind: str, hub: bool) -> Iterator[dict[str, Any]]:
    """One for all stages of the object and, where one fetches from the hub, one for those that do."""
    own = {names.LABEL_OWNER_UID: meta.uid}
    among = {"podSelector": {"matchLabels": own}}
    progress = {
        "from": list(network.progress_from),
        "ports": [{"port": stage_request.PROGRESS_PORT, "protocol": "TCP"}],
    }
    yield _policy(
        names.policy_name(owner=meta.name, uid=meta.uid, of="stages"),
        {
            "podSelector": {"matchLabels": own},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [progress, {"from": [among]}],
            "egress": [{"to": [among]}, {"ports": _DNS}, *network.egress],
        },
        meta=meta,
        kind=kind,
    )
    if hub:
        yield _policy(
            names.policy_name(owner=meta.name, uid=meta.uid, of=HUB),
            {
                "podSelector": {"matchLabels": own | {names.LABEL_EGRESS: HUB}},
                "policyTypes": ["Egress"],
                "egress": [{"ports": _HTTPS}],
            },
            meta=meta,
            kind=kind,
        )


def _policy(name: str, spec: dict[str, Any], *, meta: Meta, kind: str) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": name,
            "namespace": meta.namespace,
            "labels": labels.of_child(meta, kind=kind),
            "ownerReferences": labels.owner(meta, kind=kind),
        },
        "spec": spec,
    }
