"""Debian packages that the cluster and the image builds need, installed when they are missing.

Nothing is configured and no service is started; on other systems the person is told
which commands to bring along.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from hack.cluster import failures, terminal

CNI_PLUGINS: Final = Path("/usr/lib/cni")
_NEEDED: Final = {
    "runc": "runc",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    str(CNI_PLUGINS / "ptp"): "containernetworking-plugins",
}


def ensure() -> None:
    """Install what is missing."""
    missing = {command: package for command, package in _NEEDED.items() if not shutil.which(command)}
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise failures.ClusterError(
            f"{', '.join(missing)}: not found, and there is no apt-get to install them. Install what Debian calls "
            f"{', '.join(missing.values())}, or choose CLUSTER=kind or CLUSTER=current."
        )
    with terminal.step("packages", f"installing {' '.join(missing.values())}", usually="15 s"):
        apt("update")
        apt("install", "--yes", "--no-install-recommends", *missing.values())


def apt(*arguments: str, folder: Path | None = None) -> None:
    """Run apt-get without questions, in this folder, waiting for whoever else installs at the moment."""
    command = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", *arguments]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        raise failures.ClusterError(f"{' '.join(command)}: ended with {done.returncode}. It said:\n{done.stderr}")
