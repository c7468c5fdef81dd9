"""A container registry on this machine's loopback: where built images wait for the nodes.

Its data outlives the cluster: images are asked for by digest, so old ones do no harm
and unchanged ones are not pushed twice. Plain http, no login, loopback only.
It can run without a cluster, so that images are built while the cluster is.
"""

import json
import shutil
import socket
import urllib.request

from hack.cluster import builds, cgroups, failures, processes, settings


def start() -> str:
    """Start the registry if it does not run, and return its address as image names spell it."""
    daemon = _daemon()
    with processes.exclusive(settings.REGISTRY_DATA / "lock"):
        if processes.pid(daemon) is None:
            cgroups.kill(cgroups.REGISTRY)
            _refuse_a_stranger()
            config = settings.REGISTRY_DATA / "config.json"
            config.write_text(json.dumps(_config()), encoding="utf-8")
            processes.start(daemon)
        processes.wait(daemon, answers)
    return settings.REGISTRY


def answers() -> bool:
    """Say whether something that speaks the registry protocol listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{settings.REGISTRY_PORT}/v2/", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def stop() -> None:
    """End the registry; its images stay."""
    cgroups.kill(cgroups.REGISTRY)
    cgroups.remove(cgroups.REGISTRY)
    shutil.rmtree(settings.REGISTRY_DATA / "pids", ignore_errors=True)


def _daemon() -> processes.Daemon:
    return processes.Daemon(
        name="registry",
        command=[builds.binary(builds.REGISTRY), "serve", settings.REGISTRY_DATA / "config.json"],
        folder=settings.REGISTRY_DATA,
        group=cgroups.REGISTRY,
        environment={"OTEL_TRACES_EXPORTER": "none"},
    )


def _config() -> dict[str, object]:
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(settings.REGISTRY_DATA / "data")},
            "delete": {"enabled": True},
        },
        "http": {"addr": f"127.0.0.1:{settings.REGISTRY_PORT}"},
    }


def _refuse_a_stranger() -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", settings.REGISTRY_PORT))
        except OSError as error:
            raise failures.ClusterError(
                f"registry: 127.0.0.1:{settings.REGISTRY_PORT} is taken by a program that is not ours ({error}). "
                f"Find it with `ss -ltnp 'sport = :{settings.REGISTRY_PORT}'` and end it."
            ) from error
