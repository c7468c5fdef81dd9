"""The cluster from source: everything of it in order, and everything of it away again.

A cluster that is not whole is not repaired but made anew, which takes seconds and always
ends in the same state; only programs and images are kept. So a run may be killed at any
moment, the machine included.
"""

import json
import os
import sys
import time
from typing import Final

from hack.cluster import (
    builds,
    cgroups,
    containerd,
    controlplane,
    credentials,
    dns,
    facts,
    failures,
    kubectl,
    network,
    node,
    packages,
    processes,
    registry,
    rubbish,
    settings,
    terminal,
    tools,
)

_PROGRAMS: Final = settings.STATE / "programs.json"


def possible() -> bool:
    """Say whether this machine and user can run it."""
    return sys.platform == "linux" and os.geteuid() == 0


def up() -> facts.Facts:
    """Start the cluster if it does not run, and tell how it is reached."""
    if not possible():
        raise failures.ClusterError(
            f"CLUSTER=source: needs Linux and root, and this is {sys.platform} with user id {os.getuid()}. "
            "Run it as root, or choose CLUSTER=kind or CLUSTER=current."
        )
    packages.ensure()
    registry.start()
    programs = {program.name: str(builds.ensure(program)) for program in builds.ALL}
    if _same(programs) and healthy(patience=30):
        terminal.say("cluster", "runs already")
        return _facts()
    with terminal.step("cluster", "starting", usually="15 s"):
        _reset()
        _start(programs)
    return _facts()


def healthy(*, patience: float = 0) -> bool:
    """Say whether all of it works; a busy machine gets `patience` seconds, a dead process none."""
    deadline = time.monotonic() + patience
    daemons = (*controlplane.daemons(), containerd.daemon(), *node.daemons())
    while all(processes.pid(daemon) for daemon in daemons):
        if controlplane.ready() and node.ready() and dns.serves():
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return False


def down() -> None:
    """Remove the cluster and all its state; programs and images in the registry stay."""
    _reset()
    registry.stop()


def _same(programs: dict[str, str]) -> bool:
    try:
        return bool(json.loads(_PROGRAMS.read_text(encoding="utf-8")) == programs)
    except (OSError, ValueError):  # no cluster, or a start that was killed
        return False


def _start(programs: dict[str, str]) -> None:
    settings.STATE.mkdir(parents=True, mode=0o700)
    settings.LOGS.mkdir()
    settings.VOLUMES.mkdir()
    client = kubectl.Kubectl(program=builds.binary(builds.KUBERNETES, "kubectl"), kubeconfig=settings.KUBECONFIG)
    cgroups.prepare()
    network.create()
    credentials.create()
    controlplane.start()
    containerd.start()
    node.start()
    node.wait(client)
    dns.start(client)
    _PROGRAMS.write_text(json.dumps(programs), encoding="utf-8")


def _reset() -> None:
    """Take away whatever there is of a cluster, whole or half."""
    for group in (cgroups.DAEMONS, cgroups.PODS):
        cgroups.kill(group)
        cgroups.remove(group)
    network.remove()
    rubbish.discard(settings.STATE)


def _facts() -> facts.Facts:
    return facts.Facts(
        kind="source",
        kubernetes=builds.kubernetes_version(),
        kubeconfig=settings.KUBECONFIG,
        kubectl=builds.binary(builds.KUBERNETES, "kubectl"),
        helm=builds.binary(builds.HELM),
        promtool=tools.promtool(),
        registry=settings.REGISTRY,
        volumes=settings.VOLUMES,
        audit_log=controlplane.AUDIT_LOG,
    )
