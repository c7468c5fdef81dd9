"""Quick questions to the API server of the cluster from source.

Plain GETs with the administrator's token, so that a health check costs milliseconds
and no process. Whatever writes goes through kubectl, which says better what was wrong.
"""

import json
import ssl
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPException, HTTPSConnection

from hack.cluster import credentials, settings


def get(path: str) -> bytes | None:
    """Return what the API server answers to GET `path`, or None if it gives no good answer."""
    try:
        config = json.loads(credentials.kubeconfig("admin").read_text(encoding="utf-8"))
        trust = ssl.create_default_context(cafile=str(credentials.SERVER_CERTIFICATE))
        server = HTTPSConnection(settings.NODE_ADDRESS, settings.API_PORT, timeout=5, context=trust)
        with closing(server):
            server.request("GET", path, headers={"Authorization": f"Bearer {config['users'][0]['user']['token']}"})
            reply = server.getresponse()
            return reply.read() if reply.status == HTTPStatus.OK else None
    except (OSError, ValueError, HTTPException):  # no cluster, no answer, or a kubeconfig cut short by a kill
        return None


def condition(path: str, kind: str) -> bool:
    """Say whether the object at `path` has the condition `kind` with status True."""
    answer = get(path)
    conditions = json.loads(answer).get("status", {}).get("conditions", []) if answer else []
    return any(row["type"] == kind and row["status"] == "True" for row in conditions)
