"""The operator's whole view of the Kubernetes API: eight verbs, documents in and out.

Documents are plain dictionaries as the API serves them, without `metadata.managedFields`.
A document that is written carries `apiVersion`, `kind` and `metadata` with name and, where
the kind has one, namespace. Failures are the classes of `errors.py`. `kube/client.py`
is the real one, `tests/fakes/cluster.py` the one in memory; one suite holds both to this page.
"""

from collections.abc import AsyncIterator
from typing import Any, Protocol, TypeAlias

from modelrefresh.kube.kinds import Kind

Document: TypeAlias = dict[str, Any]
"""One object as the API serves it."""


class Port(Protocol):
    """What the operator may ask of the API server.

    Every write is fenced: it raises NotLeaderError, without a request, while the Lease is not surely ours.
    """

    async def get(self, kind: Kind, *, namespace: str | None = None, name: str) -> Document:
        """Read one object, as of now.

        Raises:
            NotFoundError: there is none.
        """

    async def find(
        self, kind: Kind, *, namespace: str | None = None, selector: str = "", fields: str = "", limit: int = 0
    ) -> list[Document]:
        """Read all objects that a label and a field selector match, as of one moment; without a namespace in all.

        With a limit only so many, the first by name: what others can make must not become work of ours.
        """

    def pages(
        self, kind: Kind, *, namespace: str | None = None, selector: str = "", fields: str = "", limit: int = 0
    ) -> AsyncIterator[list[Document]]:
        """Read the same page by page, for lists that need not be held at once."""

    async def create(self, kind: Kind, document: Document) -> Document:
        """Create an object; it must not exist.

        Raises:
            ConflictError: the name is taken.
        """

    async def apply(self, kind: Kind, document: Document) -> Document:
        """Create or change by server-side apply: own exactly the fields of this document, by force.

        Fields that were applied before and are left out now are removed. A `metadata.resourceVersion`
        is a precondition. An equal document should not be applied again: compare first.

        Raises:
            InvalidError: a field is wrong or immutable.
        """

    async def patch(self, kind: Kind, document: Document) -> Document:
        """Change by merge patch: given fields are set, null removes, lists are replaced as a whole.

        A `metadata.resourceVersion` or `metadata.uid` is a precondition; changes of lists need the former.

        Raises:
            ConflictError: the object has changed since that version.
        """

    async def put_status(self, kind: Kind, document: Document) -> Document:
        """Replace `status` as a whole; `metadata.resourceVersion` is a precondition and must be there.

        Raises:
            ConflictError: the object has changed since that version.
        """

    async def delete(self, kind: Kind, *, namespace: str | None = None, name: str, uid: str) -> None:
        """Delete exactly this object; its dependants follow in the background. An absent object is a success.

        Raises:
            ConflictError: another object has that name now.
        """
