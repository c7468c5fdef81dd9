"""Asks the cluster's registry what it has, and has it started where it is down.

Knows: one request of the distribution protocol over plain http. Refuses to know: how images are made, and how the
registry is run: that is the cluster's.
"""

import os
import sys
import urllib.request
from email.message import Message

from hack.cluster import registry as local
from hack.cluster import settings

ADDRESS = os.environ.get("MODELREFRESH_REGISTRY") or settings.REGISTRY
TIMEOUT_SECONDS = 5
MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


def repository(image: str) -> str:
    """Return where an image is pushed to and pulled from."""
    return f"{ADDRESS}/modelrefresh/{image}"


def start() -> None:
    """Start the cluster's registry where nothing answers yet; one named in the environment must be up already."""
    if _head("/v2/") is not None:
        return
    if ADDRESS != settings.REGISTRY:
        sys.exit(f"images: nothing answers at {ADDRESS}, expected the registry named by MODELREFRESH_REGISTRY")
    local.start()


def find(image: str, *, tag: str) -> str | None:
    """Return the reference by digest of what the registry keeps under a tag, None where it keeps nothing."""
    headers = _head(f"/v2/modelrefresh/{image}/manifests/{tag}")
    return None if headers is None else f"{repository(image)}@{headers['Docker-Content-Digest']}"


def _head(path: str) -> Message | None:
    request = urllib.request.Request(f"http://{ADDRESS}{path}", method="HEAD", headers={"Accept": MANIFESTS})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            headers: Message = response.headers
            return headers
    except OSError:
        return None
