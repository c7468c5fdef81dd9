"""Where the cluster lives and which addresses it uses: the only place that says so.

Everything that lasts is under the user's cache directory, outside the checkout.
The addresses are fixed, so that a kubeconfig stays good over restarts; they lie
in private ranges on a bridge without ports, and nothing leaves the machine.
"""

import os
from pathlib import Path
from typing import Final

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelrefresh"
STATE: Final = CACHE / "cluster"
KUBECONFIG: Final = STATE / "kubeconfig"
VOLUMES: Final = STATE / "volumes"
LOGS: Final = STATE / "logs"
PKI: Final = STATE / "pki"
REGISTRY_DATA: Final = CACHE / "registry"
GO_SOURCES: Final = Path(__file__).parent / "go"

NODE_NAME: Final = "modelrefresh"
NODE_ADDRESS: Final = "10.97.0.1"
NODE_GPUS: Final = 4
API_PORT: Final = 6443
API_SERVER: Final = f"https://{NODE_ADDRESS}:{API_PORT}"
SERVICE_RANGE: Final = "10.96.0.0/16"
API_SERVICE_ADDRESS: Final = "10.96.0.1"
DNS_ADDRESS: Final = "10.96.0.10"
DNS_DOMAIN: Final = "cluster.local"
POD_RANGE: Final = "10.244.0.0/24"
ETCD_CLIENT_URL: Final = "http://127.0.0.1:2379"
ETCD_PEER_URL: Final = "http://127.0.0.1:2380"
REGISTRY_PORT: Final = 5000
REGISTRY: Final = f"localhost:{REGISTRY_PORT}"
