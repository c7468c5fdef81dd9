"""A small API server for kopf: discovery, lists and watches of our kinds, with faults on demand.

Knows HTTP only; what it lists and streams is what a test puts there.
"""

import asyncio
import collections
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Document
from modelrefresh.runtime import watch_index
from tests.runtime import servers

NAMESPACE = Kind(group="", version="v1", plural="namespaces", kind="Namespace", namespaced=False)
"""kopf waits for the definition of this one, but never lists it here."""
VERBS = ["get", "list", "watch", "patch", "create", "delete", "update"]


class ApiServer:
    """Serves the watched kinds."""

    def __init__(self) -> None:
        """Hold no object and have no fault."""
        self.lists: dict[str, list[Document]] = collections.defaultdict(list)
        self.faults: dict[tuple[str, str], list[int]] = collections.defaultdict(list)
        """HTTP codes of the next answers, by `list` or `watch` and plural."""
        self.requests: collections.Counter[tuple[str, str]] = collections.Counter()
        self._streams: dict[str, list[asyncio.Queue[str | None]]] = collections.defaultdict(list)

    def send(self, kind: Kind, event: str, document: Document) -> None:
        """Stream an event to whoever watches this kind."""
        line = json.dumps({"type": event, "object": document})
        for stream in self._streams[kind.plural]:
            stream.put_nowait(line)

    def cut(self, kind: Kind, *, last: str | None = None) -> None:
        """End all watches of this kind, with these last bytes."""
        for stream in self._streams.pop(kind.plural, []):
            if last is not None:
                stream.put_nowait(last)
            stream.put_nowait(None)

    async def watched(self, kind: Kind) -> None:
        """Wait until somebody watches this kind."""
        while not self._streams[kind.plural]:  # noqa: ASYNC110 -- a test's server, polled by its test
            await asyncio.sleep(0.01)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Answer; gives the address."""
        async with servers.serving(self._answer) as port:
            yield f"http://127.0.0.1:{port}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        parts = [part for part in request.path.split("/") if part]
        if len(parts) < 4:
            return web.json_response(_discovery(parts))
        plural, verb = parts[3], "watch" if request.query.get("watch") == "true" else "list"
        self.requests[verb, plural] += 1
        if self.faults[verb, plural]:
            code = self.faults[verb, plural].pop(0)
            return web.json_response({"kind": "Status", "code": code, "message": "a fault"}, status=code)
        if verb == "watch":
            return await self._stream(request, plural)
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": self.lists[plural]})

    async def _stream(self, request: web.Request, plural: str) -> web.StreamResponse:
        lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._streams[plural].append(lines)
        response = web.StreamResponse()
        await response.prepare(request)
        while (line := await lines.get()) is not None:
            await response.write(line.encode() + b"\n")
        return response


def _discovery(parts: list[str]) -> Document:
    """Answers to /api, /api/v1, /apis, /apis/GROUP/VERSION."""
    if parts == ["api"]:
        return {"versions": ["v1"]}
    if parts == ["apis"]:
        groups = {kind.group: kind.version for kind in watch_index.WATCHED}
        return {"groups": [_group(group, version) for group, version in groups.items()]}
    kinds = [kind for kind in (NAMESPACE, *watch_index.WATCHED) if parts[1:] == kind.api_version.split("/")]
    resources = [
        {"name": kind.plural, "kind": kind.kind, "singularName": "", "namespaced": kind.namespaced, "verbs": VERBS}
        for kind in kinds
    ]
    return {"resources": resources}


def _group(group: str, version: str) -> Document:
    named = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [named], "preferredVersion": named}
