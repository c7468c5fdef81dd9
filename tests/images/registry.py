"""Asks the cluster's registry what it has.

Knows: two requests of the distribution protocol over plain http on this machine. Refuses to know: how images are made.
"""

import os
import urllib.request
from email.message import Message

ADDRESS = os.environ.get("MODELREFRESH_REGISTRY", "localhost:5000")
TIMEOUT_SECONDS = 5
MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


def repository(image: str) -> str:
    """Return where an image is pushed to and pulled from."""
    return f"{ADDRESS}/modelrefresh/{image}"


def answers() -> bool:
    """Tell whether the registry is up."""
    return _head("/v2/") is not None


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
