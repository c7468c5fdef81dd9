"""The network of the node: an address for it, a veth pair for every pod, rules from kube-proxy.

Point-to-point veth pairs route everything through the host, so Services work between
pods without bridge filtering, and nothing but one bridge without ports is left to remove.
Refuses nothing and hides nothing: there are no network policies here.
"""

import json
import subprocess
from pathlib import Path
from typing import Final

from hack.cluster import settings

CNI_CONFIG: Final = settings.STATE / "cni"
_BRIDGE: Final = "modelrefresh0"


def create() -> None:
    """Give the node its address and let the host forward."""
    remove()
    _ip("link", "add", _BRIDGE, "type", "bridge")
    _ip("address", "add", f"{settings.NODE_ADDRESS}/32", "dev", _BRIDGE)
    _ip("link", "set", _BRIDGE, "up")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="utf-8")
    CNI_CONFIG.mkdir(parents=True, exist_ok=True)
    (CNI_CONFIG / "pods.conflist").write_text(json.dumps(_pods()), encoding="utf-8")


def remove() -> None:
    """Take the address, the bridge and kube-proxy's rules away; veth pairs went with their pods."""
    subprocess.run(["ip", "link", "delete", _BRIDGE], check=False, capture_output=True)
    for family in ("ip", "ip6"):
        subprocess.run(["nft", "delete", "table", family, "kube-proxy"], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _pods() -> dict[str, object]:
    addresses = {
        "type": "host-local",
        "dataDir": str(settings.STATE / "addresses"),
        "ranges": [[{"subnet": settings.POD_RANGE}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "ptp", "ipam": addresses}]}
