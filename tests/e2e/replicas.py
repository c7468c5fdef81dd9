"""The operator's replicas: which one leads, and its sudden end.

Knows the release of the demo and its Lease. Refuses to know what the operator does.
"""

import json
import time
from dataclasses import dataclass
from typing import Final

from examples.demo import installation
from examples.demo import kubectl as demo
from hack.cluster import facts
from hack.cluster.kubectl import Kubectl

_NAME: Final = "modelrefresh"
_PATIENCE_SECONDS: Final = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicas:
    """Two replicas of the operator in their own namespace."""

    kubectl: Kubectl

    def leader(self) -> str:
        """The pod that holds the Lease; empty while none does."""
        lease = json.loads(self._run("get", "lease", _NAME, "--output=json"))
        return str(lease["spec"].get("holderIdentity", "")).partition("_")[0]

    def kill_leader(self) -> str:
        """End the leader without a farewell; returns its name."""
        name = self.leader()
        self._run("delete", "pod", name, "--grace-period=0", "--force")
        return name

    def await_leader_after(self, former: str) -> str:
        """The pod that leads in its place."""
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while (name := self.leader()) in {"", former}:
            assert time.monotonic() < give_up, f"no replica took over from {former} in {_PATIENCE_SECONDS:.0f} s"
            time.sleep(1)
        return name

    def await_all(self) -> None:
        """Wait until every replica is ready again."""
        self._run("rollout", "status", f"deployment/{_NAME}", "--timeout=120s")

    def _run(self, *arguments: str) -> str:
        return self.kubectl.run(*arguments, f"--namespace={demo.OPERATOR_NAMESPACE}")


def install(kubectl: Kubectl, cluster: facts.Facts, *, image: str) -> Replicas:
    """The chart's release, the same as the demo's."""
    client = demo.Kubectl(program=kubectl.program, kubeconfig=kubectl.kubeconfig)
    installation.install(client, cluster, image=image)
    return Replicas(kubectl=kubectl)
