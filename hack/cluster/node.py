"""The node: the kubelet and kube-proxy, and GPUs that are only counted.

The kubelet's own limits are out of the way (disk, swap, image removal), so that a full
laptop still runs the tests; cgroups of version 1 are accepted. The scheduler counts the
pretended GPUs like real ones; nothing appears in the pods that get them.
"""

import json
from pathlib import Path
from typing import Any, Final

from hack.cluster import api, builds, cgroups, containerd, credentials, kubectl, processes, settings

_KUBELET_CONFIG: Final = settings.STATE / "kubelet.json"
_PROXY_CONFIG: Final = settings.STATE / "kube-proxy.json"


def daemons() -> tuple[processes.Daemon, ...]:
    """Return the node's daemons besides the runtime."""
    return (_kubelet(), _proxy())


def start() -> None:
    """Start kubelet and kube-proxy."""
    _KUBELET_CONFIG.write_text(json.dumps(_kubelet_config()), encoding="utf-8")
    _PROXY_CONFIG.write_text(json.dumps(_proxy_config()), encoding="utf-8")
    for daemon in daemons():
        processes.start(daemon)


def registered() -> bool:
    """Say whether the API server knows the node."""
    return api.get(f"/api/v1/nodes/{settings.NODE_NAME}") is not None


def ready() -> bool:
    """Say whether the node is Ready."""
    return api.condition(f"/api/v1/nodes/{settings.NODE_NAME}", "Ready")


def wait(client: kubectl.Kubectl) -> None:
    """Return when the node is Ready and has its pretended GPUs."""
    kubelet = daemons()[0]
    processes.wait(kubelet, registered)
    pretend_gpus(client, settings.NODE_NAME)
    processes.wait(kubelet, ready)


def pretend_gpus(client: kubectl.Kubectl, name: str) -> None:
    """Let the scheduler count GPUs on the node `name`; the kubelet keeps what it did not count itself."""
    gpus = {"nvidia.com/gpu": str(settings.NODE_GPUS)}
    patch = json.dumps({"status": {"capacity": gpus, "allocatable": gpus}})
    client.run("patch", "node", name, "--subresource=status", "--type=merge", "--patch", patch)


def _kubelet() -> processes.Daemon:
    command: list[str | Path] = [
        builds.binary(builds.KUBERNETES, "kubelet"),
        f"--config={_KUBELET_CONFIG}",
        f"--kubeconfig={credentials.kubeconfig('kubelet')}",
        f"--hostname-override={settings.NODE_NAME}",
        f"--node-ip={settings.NODE_ADDRESS}",
    ]
    return processes.Daemon(name="kubelet", command=containerd.inside(command), folder=settings.STATE)


def _proxy() -> processes.Daemon:
    command: list[str | Path] = [builds.binary(builds.KUBERNETES, "kube-proxy"), f"--config={_PROXY_CONFIG}"]
    return processes.Daemon(name="kube-proxy", command=command, folder=settings.STATE)


def _kubelet_config() -> dict[str, Any]:
    least = ("memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree")
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": settings.NODE_ADDRESS,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(credentials.KUBELET_CLIENT_CERTIFICATE)},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroups.ROOT}/{cgroups.PODS}",
        "clusterDNS": [settings.DNS_ADDRESS],
        "clusterDomain": settings.DNS_DOMAIN,
        "containerRuntimeEndpoint": f"unix://{containerd.SOCKET}",
        "evictionHard": dict.fromkeys(least, "1%"),
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "makeIPTablesUtilChains": False,
        "oomScoreAdj": 0,
        "resolvConf": "",
        "serializeImagePulls": False,
    }


def _proxy_config() -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(credentials.kubeconfig("kube-proxy"))},
        "clusterCIDR": settings.POD_RANGE,
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "hostnameOverride": settings.NODE_NAME,
        "mode": "nftables",
    }
