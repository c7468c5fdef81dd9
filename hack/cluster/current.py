"""Somebody else's cluster: the one of the current kubectl context, taken as it is.

Only asked for by name (CLUSTER=current). Nothing is installed, changed or removed here;
whether it is reachable is all that is looked at. MODELREFRESH_REGISTRY names a registry that
its nodes can pull from and that this machine can push to.
"""

import os
from pathlib import Path

from hack.cluster import facts, failures, kubectl, settings, tools


def up() -> facts.Facts:
    """Check that the cluster answers, and tell how it is reached."""
    kubeconfig = Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    if not kubeconfig.is_file():
        raise failures.ClusterError(
            f"CLUSTER=current: {kubeconfig} is no file. Set KUBECONFIG to one kubeconfig file of the cluster to use."
        )
    client = kubectl.Kubectl(program=tools.kubectl(), kubeconfig=kubeconfig)
    return facts.Facts(
        kind="current",
        kubernetes=client.version(),
        kubeconfig=kubeconfig,
        kubectl=client.program,
        helm=tools.helm(),
        promtool=tools.promtool(),
        registry=os.environ.get("MODELREFRESH_REGISTRY") or settings.REGISTRY,
        volumes=None,
        audit_log=None,
    )


def healthy() -> bool:
    """Say whether the cluster answers."""
    found = facts.read()
    return kubectl.Kubectl(program=found.kubectl, kubeconfig=found.kubeconfig).answers()


def down() -> None:
    """Do nothing: it is not ours."""
