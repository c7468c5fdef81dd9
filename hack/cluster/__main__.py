"""The command line of the throw-away cluster: up, down, status.

CLUSTER chooses: `source` builds one on this machine (Linux, root), `kind` asks a Docker
engine, `current` takes the cluster of the current kubectl context, `auto` (the default)
is kind where it is possible, source otherwise, and never the current context.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from typing import Final

from hack.cluster import current, facts, failures, kind, processes, settings, source, terminal

_UP: Final[Mapping[str, Callable[[], facts.Facts]]] = {"source": source.up, "kind": kind.up, "current": current.up}
_DOWN: Final[Mapping[str, Callable[[], None]]] = {"source": source.down, "kind": kind.down, "current": current.down}
_HEALTHY: Final[Mapping[str, Callable[[], bool]]] = {
    "source": source.healthy,
    "kind": kind.healthy,
    "current": current.healthy,
}


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python3 -m hack.cluster", description=__doc__)
    parser.add_argument("verb", choices=["up", "down", "status"])
    verb = parser.parse_args().verb
    try:
        return {"up": _up, "down": _down, "status": _status}[verb]()
    except failures.ClusterError as error:
        terminal.say("cluster", str(error))
        return 1


def _up() -> int:
    with processes.exclusive(settings.CACHE / "cluster.lock"):
        found = _UP[chosen()]()
        facts.write(found)
    terminal.say("cluster", f"{found.kind}, Kubernetes {found.kubernetes}; export KUBECONFIG={found.kubeconfig}")
    return 0


def _down() -> int:
    with processes.exclusive(settings.CACHE / "cluster.lock"):
        try:
            started = facts.read().kind
        except failures.ClusterError:  # a start that was killed leaves no facts, but something to remove
            started = "source" if source.possible() else "kind"
        _DOWN[started]()
        facts.forget()
    terminal.say("cluster", "current: left as it is" if started == "current" else f"{started}: removed")
    return 0


def _status() -> int:
    found = facts.read()
    healthy = _HEALTHY[found.kind]()
    sys.stdout.write(facts.document(found, healthy=healthy) + "\n")
    return 0 if healthy else 1


def chosen() -> str:
    """Return the kind of cluster that CLUSTER asks for, or the first one possible."""
    wanted = os.environ.get("CLUSTER") or "auto"
    if wanted in _UP:
        return wanted
    if wanted != "auto":
        raise failures.ClusterError(f"CLUSTER={wanted}: expected one of auto, {', '.join(_UP)}.")
    if kind.possible():
        return "kind"
    if source.possible():
        return "source"
    raise failures.ClusterError(
        f"CLUSTER=auto: no way to a cluster here. kind needs a running Docker engine and the kind program; "
        f"source needs Linux and root ({sys.platform}, user id {os.getuid()} seen). Provide one of them, or set "
        "CLUSTER=current to use the cluster of your current kubectl context."
    )


if __name__ == "__main__":
    sys.exit(main())
