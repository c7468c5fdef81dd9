"""How far a running stage is: a glance at its pod's progress page.

Knows the page's address. A page that does not answer at once is no page: progress is for
people, no decision reads it, so this never fails and never waits long.
"""

import asyncio
import ipaddress
import json
import logging

import aiohttp

from modelrefresh.contract import stage_request
from modelrefresh.kube.port import Document

LOG = logging.getLogger(__name__)
_SECONDS = 1.0
_LIMIT = 16_384


async def probe(address: str, *, port: int = stage_request.PROGRESS_PORT) -> Document | None:
    """What the pod with this IP says of its progress, or None."""
    try:
        host = f"[{address}]" if ipaddress.ip_address(address).version == 6 else address  # noqa: PLR2004 -- IPv6
        # A redirect is not followed: a tenant's pod must not send the operator elsewhere.
        async with (
            asyncio.timeout(_SECONDS),
            aiohttp.ClientSession() as session,
            session.get(f"http://{host}:{port}/progress", allow_redirects=False) as response,
        ):
            document = json.loads(await response.content.read(_LIMIT)) if response.ok else None
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
        LOG.debug("no progress from %s: %r", address, error)
        return None
    return document if isinstance(document, dict) else None
