"""The real port: its verbs as requests to the API server.

Knows paths, patch types and preconditions. Before each write it waits for the write rate,
then asks the fence; the request may take no longer than the Lease is surely ours.
"""

from collections.abc import AsyncIterator, Callable

from modelrefresh import errors
from modelrefresh.api import names
from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Document
from modelrefresh.kube.rate_limit import Bucket
from modelrefresh.kube.transport import Request, Transport

PAGE = 250
_STRICT = ("fieldValidation", "Strict")


class Client:
    """Implements `kube.port.Port`."""

    def __init__(self, transport: Transport, *, fence: Callable[[], float], bucket: Bucket) -> None:
        """Take from `fence` the seconds for which the Lease is surely ours; it raises NotLeaderError at none."""
        self._transport = transport
        self._fence = fence
        self._bucket = bucket

    async def get(self, kind: Kind, *, namespace: str | None = None, name: str) -> Document:
        """Read one object."""
        path = kind.path(namespace=namespace, name=name)
        return await self._read(Request(verb="get", method="GET", kind=kind, path=path))

    async def find(
        self, kind: Kind, *, namespace: str | None = None, selector: str = "", fields: str = "", limit: int = 0
    ) -> list[Document]:
        """Read all objects that match, or the first ones."""
        found: list[Document] = []
        async for page in self.pages(kind, namespace=namespace, selector=selector, fields=fields, limit=limit):
            found += page
            if limit and len(found) >= limit:
                return found[:limit]
        return found

    async def pages(
        self, kind: Kind, *, namespace: str | None = None, selector: str = "", fields: str = "", limit: int = 0
    ) -> AsyncIterator[list[Document]]:
        """Read all objects that match, page by page of one list version."""
        chosen = (("labelSelector", selector), ("fieldSelector", fields))
        query = [("limit", str(min(PAGE, limit or PAGE))), *((name, value) for name, value in chosen if value)]
        path = kind.path(namespace=namespace)
        token = ""
        while True:
            here = (*query, ("continue", token)) if token else tuple(query)
            listed = await self._read(Request(verb="list", method="GET", kind=kind, path=path, query=here))
            # Items of a list come without the two fields that single objects have.
            yield [
                {"apiVersion": kind.api_version, "kind": kind.kind, **_stripped(item)}
                for item in listed.get("items", [])
            ]
            token = listed.get("metadata", {}).get("continue", "")
            if not token:
                return

    async def create(self, kind: Kind, document: Document) -> Document:
        """Create an object."""
        path = kind.path(namespace=document["metadata"].get("namespace"))
        query = (("fieldManager", names.FIELD_MANAGER), _STRICT)
        return await self._write(Request(verb="create", method="POST", kind=kind, path=path, query=query), document)

    async def apply(self, kind: Kind, document: Document) -> Document:
        """Server-side apply by force."""
        request = Request(
            verb="apply",
            method="PATCH",
            kind=kind,
            path=_path(kind, document),
            query=(("fieldManager", names.FIELD_MANAGER), ("force", "true"), _STRICT),
            content_type="application/apply-patch+yaml",
        )
        return await self._write(request, document)

    async def patch(self, kind: Kind, document: Document) -> Document:
        """Merge patch."""
        request = Request(
            verb="patch",
            method="PATCH",
            kind=kind,
            path=_path(kind, document),
            query=(("fieldManager", names.FIELD_MANAGER),),
            content_type="application/merge-patch+json",
        )
        return await self._write(request, document)

    async def put_status(self, kind: Kind, document: Document) -> Document:
        """Replace the status."""
        if not document["metadata"].get("resourceVersion"):
            raise errors.InvalidError(
                f"put_status {kind.kind}: metadata.resourceVersion is missing; read the object first"
            )
        request = Request(
            verb="put_status",
            method="PUT",
            kind=kind,
            path=_path(kind, document, subresource="status"),
            query=(("fieldManager", names.STATUS_MANAGER),),
        )
        return await self._write(request, document)

    async def delete(self, kind: Kind, *, namespace: str | None = None, name: str, uid: str) -> None:
        """Delete in the background."""
        path = kind.path(namespace=namespace, name=name)
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        try:
            await self._write(Request(verb="delete", method="DELETE", kind=kind, path=path), options)
        except errors.NotFoundError:
            return

    async def _read(self, request: Request) -> Document:
        async with self._transport.slot():
            return _stripped(await self._transport.send(request))

    async def _write(self, request: Request, body: Document) -> Document:
        await self._bucket.take()
        async with self._transport.slot():
            seconds = self._fence()
            return _stripped(await self._transport.send(request, body=body, seconds=seconds))


def _path(kind: Kind, document: Document, *, subresource: str = "") -> str:
    metadata = document["metadata"]
    return kind.path(namespace=metadata.get("namespace"), name=metadata["name"], subresource=subresource)


def _stripped(document: Document) -> Document:
    document.get("metadata", {}).pop("managedFields", None)
    return document
