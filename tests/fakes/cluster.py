"""An API server in memory behind the operator's port, with the rules that the operator leans on.

Versions move only with a change, generations only with a spec; stale versions, taken names,
wrong uids and immutable fields are refused; finalizers hold, dependants follow their owner.
`writes` records what came through the port; `crash_at`, `fail` and `fence` break it on
purpose. What controllers and users do is `tests/fakes/controllers.py` and the plain methods
at the end here; those are neither recorded nor broken.
"""

import copy
import datetime as dt
import functools
import itertools
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from modelrefresh import errors
from modelrefresh.api import names, schema
from modelrefresh.kube import kinds
from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Document
from tests.fakes import ownership

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
PLAIN = {kinds.EVENT.plural, kinds.LEASE.plural}
"""Kinds without a status subresource."""
IMMUTABLE = {
    kinds.JOB.plural: ("template", "selector", "completionMode"),
    kinds.INSTRUCTION_RESIDUAL.plural: ("base", "instruct", "profile"),
}
SELECTABLE = {kind.plural: {path.removeprefix(".") for path in kind.selectable} for kind in schema.KINDS} | {
    kinds.EVENT.plural: {"involvedObject.uid", "involvedObject.kind", "involvedObject.name", "reason", "type"}
}
LABEL = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")
NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
JOB_NAME_LIMIT = 63

Key = tuple[str, str, str]


class CrashError(BaseException):
    """The operator's process died here; nothing may catch it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One write that came through the port, whether it succeeded or not."""

    verb: str
    kind: str
    namespace: str
    name: str
    document: Document


class FakeCluster:
    """Implements `kube.port.Port`."""

    def __init__(self, *, now: Callable[[], dt.datetime] = lambda: START) -> None:
        """Start empty; `now` gives creation and deletion times."""
        self.now = now
        self.writes: list[Write] = []
        self.fence: Callable[[], None] = lambda: None
        self.before_write: Callable[[Write], None] = lambda _: None
        self.after_write: Callable[[Write], None] = lambda _: None
        self.before_read: Callable[[str, Kind, str], None] = lambda *_: None
        self._objects: dict[Key, Document] = {}
        self._owners: dict[Key, ownership.Owners] = {}
        self._version = itertools.count(1)

    # The port.

    async def get(self, kind: Kind, *, namespace: str | None = None, name: str) -> Document:
        """Read one object."""
        self.before_read("get", kind, name)
        return _duplicate(self._existing(kind, _key(kind, namespace, name)))

    async def find(
        self, kind: Kind, *, namespace: str | None = None, selector: str = "", fields: str = "", limit: int = 0
    ) -> list[Document]:
        """Read all objects that match, by namespace and name."""
        self.before_read("find", kind, selector)
        wanted = _fields(kind, fields)
        found = [
            document
            for document in self.all(kind, namespace=namespace)
            if matches(selector, document["metadata"].get("labels", {})) and _has(document, wanted)
        ]
        return found[:limit] if limit else found

    async def pages(
        self, kind: Kind, *, namespace: str | None = None, selector: str = "", fields: str = "", limit: int = 0
    ) -> AsyncIterator[list[Document]]:
        """Read all objects that match, so many on a page, or two."""
        found = await self.find(kind, namespace=namespace, selector=selector, fields=fields)
        size = limit or 2
        for start in range(0, len(found), size):
            yield found[start : start + size]

    async def create(self, kind: Kind, document: Document) -> Document:
        """Create an object; ConflictError if the name is taken."""
        key = _key_of(kind, document)

        def change() -> Document:
            if key in self._objects:
                raise errors.ConflictError(f"create {kind.kind} {key[2]}: already exists")
            return self._insert(kind, key, document, manager="create")

        return self._write("create", kind, document, change)

    async def apply(self, kind: Kind, document: Document) -> Document:
        """Server-side apply by force."""
        change = functools.partial(self._apply, kind, document, manager=names.FIELD_MANAGER)
        return self._write("apply", kind, document, change)

    async def patch(self, kind: Kind, document: Document) -> Document:
        """Merge patch."""
        key = _key_of(kind, document)

        def change() -> Document:
            live = self._existing(kind, key)
            _check_preconditions(live, document)
            body = {part: value for part, value in document.items() if part != "status" or kind.plural in PLAIN}
            after = _merge(live, body)
            return self._change(kind, key, after, manager="patch")

        return self._write("patch", kind, document, change)

    async def put_status(self, kind: Kind, document: Document) -> Document:
        """Replace the status."""
        key = _key_of(kind, document)

        def change() -> Document:
            if "resourceVersion" not in document["metadata"]:
                raise errors.InvalidError(f"put status of {kind.kind} {key[2]}: metadata.resourceVersion is missing")
            live = self._existing(kind, key)
            _check_preconditions(live, document)
            return self._commit(kind, key, {**live, "status": _duplicate(document["status"])})

        return self._write("put_status", kind, document, change)

    async def delete(self, kind: Kind, *, namespace: str | None = None, name: str, uid: str) -> None:
        """Delete in the background."""
        key = _key(kind, namespace, name)

        def change() -> Document:
            live = self._objects.get(key)
            if live is not None and live["metadata"]["uid"] != uid:
                raise errors.ConflictError(f"delete {kind.kind} {name}: the uid differs")
            if live is not None:
                self.remove(kind, namespace=namespace, name=name)
            return {}

        self._write("delete", kind, {"metadata": {"name": name, "namespace": namespace, "uid": uid}}, change)

    # Breaking it.

    def crash_at(self, number: int, *, before: bool) -> None:
        """Die just before or just after the write of this number, counted from one and from now."""
        counter = itertools.count(1)

        def hook(_: Write) -> None:
            if next(counter) == number:
                raise CrashError

        self.before_write, self.after_write = (hook, lambda _: None) if before else (lambda _: None, hook)

    def fail(self, verb: str, kind: Kind, error: Exception, *, times: int = 1) -> None:
        """Let the next writes of this verb and kind fail before they do anything."""
        left = itertools.count()

        def hook(write: Write) -> None:
            if (write.verb, write.kind) == (verb, kind.kind) and next(left) < times:
                raise error

        self.before_write = hook

    def heal(self) -> None:
        """Undo `crash_at` and `fail`."""
        self.before_write = self.after_write = lambda _: None

    # What others do, and what a test sees.

    def add(self, kind: Kind, document: Document) -> Document:
        """Somebody else creates an object; a status in the document is kept."""
        document = {"apiVersion": kind.api_version, "kind": kind.kind, **document}
        key = _key_of(kind, document)
        assert key not in self._objects, f"{key} is there already"
        created = self._insert(kind, key, document, manager="user")
        if "status" in document and kind.plural not in PLAIN:
            created = self._commit(kind, key, {**created, "status": _duplicate(document["status"])})
        return _duplicate(created)

    def edit(
        self, kind: Kind, change: Callable[[Document], None], *, namespace: str | None = None, name: str
    ) -> Document:
        """Somebody else changes an object in place."""
        key = _key(kind, namespace, name)
        after = _duplicate(self._existing(kind, key))
        change(after)
        return _duplicate(self._change(kind, key, after, manager="user"))

    def apply_as(self, manager: str, kind: Kind, document: Document) -> Document:
        """Somebody else applies an object by force, as what syncs from Git does."""
        return _duplicate(self._apply(kind, document, manager=manager))

    def remove(self, kind: Kind, *, namespace: str | None = None, name: str) -> None:
        """Somebody deletes an object: finalizers hold it, else it goes and its dependants follow."""
        key = _key(kind, namespace, name)
        document = _duplicate(self._existing(kind, key))
        if "deletionTimestamp" not in document["metadata"]:
            document["metadata"]["deletionTimestamp"] = self._timestamp()
            if "generation" in document["metadata"]:
                document["metadata"]["generation"] += 1
        self._commit(kind, key, document)

    def peek(self, kind: Kind, *, namespace: str | None = None, name: str) -> Document | None:
        """The object as it is, or None; not a read of the operator."""
        document = self._objects.get(_key(kind, namespace, name))
        return None if document is None else _duplicate(document)

    def all(self, kind: Kind, *, namespace: str | None = None) -> list[Document]:
        """All objects of a kind; not a read of the operator."""
        return [
            _duplicate(document)
            for (plural, where, _), document in sorted(self._objects.items())
            if plural == kind.plural and namespace in (None, where)
        ]

    # Inside.

    def _write(self, verb: str, kind: Kind, document: Document, change: Callable[[], Document]) -> Document:
        self.fence()
        metadata = document["metadata"]
        write = Write(
            verb=verb,
            kind=kind.kind,
            namespace=metadata.get("namespace") or "",
            name=metadata["name"],
            document=_duplicate(document),
        )
        self.before_write(write)
        self.writes.append(write)
        result = _duplicate(change())
        self.after_write(write)
        return result

    def _existing(self, kind: Kind, key: Key) -> Document:
        if key not in self._objects:
            raise errors.NotFoundError(f"{kind.kind} {key[1]}/{key[2]}: not found")
        return self._objects[key]

    def _insert(self, kind: Kind, key: Key, document: Document, *, manager: str) -> Document:
        document = _duplicate(document)
        if kind.plural not in PLAIN:
            document.pop("status", None)
        _check_names(kind, document)
        document["metadata"].update(uid=str(uuid.UUID(int=next(self._version))), creationTimestamp=self._timestamp())
        if kind.plural not in PLAIN:
            document["metadata"]["generation"] = 1
        self._owners[key] = {manager: ownership.fields(document)}
        return self._store(key, document)

    def _apply(self, kind: Kind, document: Document, *, manager: str) -> Document:
        key = _key_of(kind, document)
        live = self._objects.get(key)
        if live is None and {"uid", "resourceVersion"} & document["metadata"].keys():
            raise errors.ConflictError(f"apply {kind.kind} {key[2]}: the precondition names an absent object")
        if live is None:
            return self._insert(kind, key, document, manager=manager)
        _check_preconditions(live, document)
        owners = copy.deepcopy(self._owners[key])
        after = ownership.apply(live, document, owners=owners, manager=manager)
        result = self._commit(kind, key, after)
        self._owners[key] = owners
        return result

    def _change(self, kind: Kind, key: Key, after: Document, *, manager: str) -> Document:
        ownership.changed(self._objects[key], after, owners=self._owners[key], manager=manager)
        return self._commit(kind, key, after)

    def _commit(self, kind: Kind, key: Key, after: Document) -> Document:
        before = self._objects[key]
        if after == before:
            return before
        for field in IMMUTABLE.get(kind.plural, ()):
            if before.get("spec", {}).get(field) != after.get("spec", {}).get(field):
                raise errors.InvalidError(f"{kind.kind} {key[2]}: spec.{field} is immutable")
        _check_names(kind, after)
        if after.get("spec") != before.get("spec") and kind.plural not in PLAIN:
            after["metadata"]["generation"] = before["metadata"]["generation"] + 1
        if "deletionTimestamp" in after["metadata"] and not after["metadata"].get("finalizers"):
            del self._objects[key], self._owners[key]
            self._collect()
            return after
        return self._store(key, after)

    def _store(self, key: Key, document: Document) -> Document:
        document["metadata"]["resourceVersion"] = str(next(self._version))
        self._objects[key] = document
        return document

    def _collect(self) -> None:
        alive = {document["metadata"]["uid"] for document in self._objects.values()}
        for (plural, namespace, name), document in list(self._objects.items()):
            owners = document["metadata"].get("ownerReferences", [])
            if owners and not alive & {owner["uid"] for owner in owners} and (plural, namespace, name) in self._objects:
                self.remove(_KINDS[plural], namespace=namespace, name=name)

    def _timestamp(self) -> str:
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")


_KINDS = {kind.plural: kind for kind in vars(kinds).values() if isinstance(kind, Kind)}


def _duplicate(document: Document) -> Document:
    """A copy that shares nothing; documents are JSON, which is several times faster than copy.deepcopy."""
    copied: Document = json.loads(json.dumps(document))
    return copied


def matches(selector: str, labels: dict[str, str]) -> bool:
    """Whether labels fit a selector of `key`, `key=value` and `key in (a,b)` terms."""
    terms = re.findall(r"([^\s,=()]+)\s*(?:=\s*([^,]*)|in\s*\(([^)]*)\))?(?:,|$)", selector)
    return all(
        key in labels and (not (value or values) or labels[key] in (value or values).split(","))
        for key, value, values in terms
    )


def _fields(kind: Kind, selector: str) -> dict[str, str]:
    """Paths and values of a field selector of `path=value` terms; only declared paths can be selected by."""
    wanted = dict(term.split("=", 1) for term in selector.split(",") if term)
    for path in wanted.keys() - SELECTABLE.get(kind.plural, set()) - {"metadata.name", "metadata.namespace"}:
        raise errors.InvalidError(f"list {kind.kind}: field label not supported: {path}")
    return wanted


def _has(document: Document, wanted: dict[str, str]) -> bool:
    """Whether an object has these values; an absent field counts as empty."""
    return all(
        (functools.reduce(lambda part, step: part.get(step) or {}, path.split("."), document) or "") == value
        for path, value in wanted.items()
    )


def _key(kind: Kind, namespace: str | None, name: str) -> Key:
    assert bool(namespace) is kind.namespaced, f"{kind.kind} {name}: namespace {namespace!r} does not fit its scope"
    return (kind.plural, namespace or "", name)


def _key_of(kind: Kind, document: Document) -> Key:
    assert (document["apiVersion"], document["kind"]) == (kind.api_version, kind.kind), f"not a {kind.kind}: {document}"
    return _key(kind, document["metadata"].get("namespace"), document["metadata"]["name"])


def _check_preconditions(live: Document, document: Document) -> None:
    for field in ("uid", "resourceVersion"):
        expected = document["metadata"].get(field)
        if expected is not None and expected != live["metadata"][field]:
            name = live["metadata"]["name"]
            raise errors.ConflictError(f"{live['kind']} {name}: {field} is {live['metadata'][field]}, not {expected}")


def _check_names(kind: Kind, document: Document) -> None:
    name = document["metadata"]["name"]
    if not NAME.match(name) or (kind.plural == kinds.JOB.plural and len(name) > JOB_NAME_LIMIT):
        raise errors.InvalidError(f"{kind.kind} {name}: metadata.name is not a valid name")
    template = document.get("spec", {}).get("template", {}).get("metadata", {})
    for labels in (document["metadata"].get("labels", {}), template.get("labels", {})):
        for label, value in labels.items():
            if not isinstance(value, str) or not LABEL.match(value):
                raise errors.InvalidError(f"{kind.kind} {name}: label {label} has the invalid value {value!r}")


def _merge(target: Any, patch: Any) -> Any:  # noqa: ANN401 -- JSON values
    if not isinstance(patch, dict):
        return _duplicate(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge(result.get(key), value)
    return result
