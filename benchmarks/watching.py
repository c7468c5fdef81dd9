"""A watch on one kind, as an endless line of objects: when something first appears is known to the millisecond.

Creation times of objects are whole seconds, which is too coarse for what is measured here.
"""

import json
import ssl
from collections.abc import AsyncIterator

import aiohttp

from modelrefresh.kube import transport
from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Document

_LINE_BYTES = 1 << 22


async def changes(kind: Kind) -> AsyncIterator[Document]:
    """Every object of all namespaces as it is added or changed from now on."""
    configuration = await transport.configure()
    context = ssl.create_default_context()
    # The server of `apiserver.py` vouches for itself.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    headers = {"Authorization": f"Bearer {await transport.token(configuration)}"}
    address = f"{configuration.host}{kind.path(namespace=None)}"
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, read_bufsize=_LINE_BYTES) as session:
        async with session.get(address, params={"limit": "1"}, ssl=context) as listed:
            version = (await listed.json())["metadata"]["resourceVersion"]
        follow = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "3600"}
        async with session.get(address, params=follow, ssl=context) as stream:
            async for line in stream.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise RuntimeError(f"the watch on {kind.plural} ended: {event['object']}")
                if event["type"] != "DELETED":
                    yield event["object"]
