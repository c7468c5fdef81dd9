"""Whose turn it is when an object changes: from a document to the keys that must be looked at.

Remembers which refresh refers to which residual, profile and target, as last seen, and
what of it passes react to. This is a hint that saves waiting and work, never a truth: resync
looks at every object anyway.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from modelrefresh.api import names
from modelrefresh.kube import kinds
from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Document
from modelrefresh.runtime.queue import Key
from modelrefresh.targets.table import TARGETS

KEYED = {kinds.MODEL_REFRESH, kinds.INSTRUCTION_RESIDUAL}
"""Kinds whose objects passes are made over."""
SELECTORS = {kinds.JOB: names.LABEL_OWNER_UID} | {target.KIND: names.LABEL_REFRESH for target in TARGETS}
"""Foreign kinds that are watched, and the label that our objects among them have."""
WATCHED: tuple[Kind, ...] = (*kinds.OWN, *SELECTORS)


@dataclass(frozen=True, slots=True)
class _Reference:
    kind: str
    namespace: str
    name: str


class Routes:
    """References between objects as last seen."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._targets: dict[Key, frozenset[_Reference]] = {}
        self._sources: dict[_Reference, set[Key]] = {}
        self._matters: dict[Key, int] = {}

    def news(self, kind: Kind, document: Document, *, deleted: bool = False) -> set[Key]:
        """The same as `keys`, but without the object itself if only its status moved: passes write that themselves."""
        found = self.keys(kind, document, deleted=deleted)
        if kind in KEYED:
            metadata = document.get("metadata", {})
            key = Key(kind=kind.kind, namespace=metadata.get("namespace") or "", name=metadata.get("name") or "")
            before, matter = self._matters.pop(key, None), _matter(metadata)
            if not deleted:
                self._matters[key] = matter
                if matter == before:
                    found.discard(key)
        return found

    def keys(self, kind: Kind, document: Document, *, deleted: bool = False) -> set[Key]:
        """Keys that a change of this object concerns."""
        metadata = document.get("metadata", {})
        namespace, name = metadata.get("namespace") or "", metadata.get("name") or ""
        found = set(self._sources.get(_Reference(kind.kind, namespace, name), ()))
        found |= set(_owners(namespace, metadata.get("ownerReferences") or ()))
        if kind in KEYED:
            key = Key(kind=kind.kind, namespace=namespace, name=name)
            self._remember(key, frozenset() if deleted else _targets(kind, namespace, document.get("spec") or {}))
            found.add(key)
        return found

    def _remember(self, key: Key, targets: frozenset[_Reference]) -> None:
        for target in self._targets.pop(key, frozenset()) - targets:
            self._sources[target].discard(key)
            if not self._sources[target]:
                del self._sources[target]
        for target in targets:
            self._sources.setdefault(target, set()).add(key)
        if targets:
            self._targets[key] = targets


def _matter(metadata: Document) -> int:
    """A figure that moves with the spec and with whatever else of the object a pass reacts to."""
    fields = ("uid", "generation", "annotations", "labels", "finalizers", "deletionTimestamp")
    return hash(json.dumps([metadata.get(field) for field in fields], sort_keys=True))


def _targets(kind: Kind, namespace: str, spec: Document) -> frozenset[_Reference]:
    """What an object refers to; a spec of another shape refers to nothing and is told so by its pass."""
    found = {_Reference(names.PROFILE, "", _text(spec, "profile") or names.DEFAULT_PROFILE)}
    if kind == kinds.MODEL_REFRESH:
        found |= {_Reference(names.RESIDUAL, namespace, name) for name in _residuals(spec)}
        found |= {
            _Reference(one.KIND.kind, namespace, name)
            for one in TARGETS
            if (name := _text(spec, "rollout", one.FIELD, "name"))
        }
    return frozenset(found)


def _residuals(spec: Document) -> Iterable[str]:
    added = spec.get("residuals")
    yield _text(spec, "residualRef", "name")
    yield from (_text(one, "name") for one in (added if isinstance(added, list) else ()))


def _text(document: object, *path: str) -> str:
    for step in path:
        document = document.get(step) if isinstance(document, dict) else None
    return document if isinstance(document, str) else ""


def _owners(namespace: str, references: Iterable[Document]) -> Iterable[Key]:
    kinds_ = {kind.kind for kind in KEYED}
    for reference in references:
        ours = str(reference.get("apiVersion", "")).startswith(f"{names.GROUP}/")
        if ours and reference.get("kind") in kinds_ and namespace and reference.get("name"):
            yield Key(kind=reference["kind"], namespace=namespace, name=reference["name"])
