"""Which manager owns which field of a document: server-side apply as far as the operator uses it.

Knows maps, list-maps by their keys, sets (finalizers) and atomic lists. Applies are forced.
Refuses to know kinds: a list is a list-map by the name of its field.
"""

import copy
from collections.abc import Iterator
from typing import Any

Path = tuple[str, ...]
Owners = dict[str, set[Path]]

LIST_KEYS = {
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "ports": ("containerPort", "port"),
    "stages": ("name",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
IDENTITY = {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"}


def fields(document: dict[str, Any]) -> set[Path]:
    """Paths of all fields that a manager can own; status and identity are no such fields."""
    body = {key: value for key, value in document.items() if key not in {"apiVersion", "kind", "status"}}
    metadata = {key: value for key, value in body.pop("metadata", {}).items() if key not in IDENTITY}
    return set(_walk({**body, "metadata": metadata}, ()))


def apply(live: dict[str, Any], applied: dict[str, Any], *, owners: Owners, manager: str) -> dict[str, Any]:
    """The document after a forced apply; `owners` is brought up to date."""
    result = copy.deepcopy(live)
    wanted = fields(applied)
    others = [owned for name, owned in owners.items() if name != manager]
    for path in sorted(wanted, key=len):
        value = _lookup(applied, path)
        if not isinstance(value, dict) and _lookup(result, path) != value:
            for owned in others:
                owned.discard(path)
        # An empty map is owned as such; what others have in it stays.
        if value != {} or not isinstance(_lookup(result, path), dict):
            _put(result, path, value)
    for path in sorted(owners.get(manager, set()) - wanted, key=len):
        if not any(other[: len(path)] == path for owned in others for other in owned):
            _drop(result, path)
    owners[manager] = wanted
    return result


def changed(before: dict[str, Any], after: dict[str, Any], *, owners: Owners, manager: str) -> None:
    """Bring `owners` up to date after a create, update or patch by a manager."""
    known = fields(after)
    touched = {path for path in known if _lookup(before, path) != _lookup(after, path)}
    for name, owned in owners.items():
        owned &= known  # noqa: PLW2901 -- sets are changed in place
        if name != manager:
            owned -= touched  # noqa: PLW2901
    owners.setdefault(manager, set()).update(touched)


def _walk(value: object, path: Path) -> Iterator[Path]:
    if isinstance(value, dict) and (value or not path):
        for key, item in value.items():
            yield from _walk(item, (*path, key))
    elif isinstance(value, list) and path[-1] == "finalizers":
        yield from ((*path, f"[={item}]") for item in value)
    elif isinstance(value, list) and _is_map(path[-1], value):
        for item in value:
            step = (*path, _step(path[-1], item))
            yield step
            yield from _walk(item, step)
    elif path != ("metadata",):
        yield path


def _is_map(field: str, items: list[Any]) -> bool:
    return field in LIST_KEYS and all(isinstance(item, dict) for item in items)


def _step(field: str, item: dict[str, Any]) -> str:
    key = next((key for key in LIST_KEYS[field] if key in item), LIST_KEYS[field][0])
    return f"[{key}={item.get(key)}]"


def _index(field: str, items: list[Any], step: str) -> int | None:
    for index, item in enumerate(items):
        if (f"[={item}]" if field == "finalizers" else _step(field, item)) == step:
            return index
    return None


def _child(node: Any, field: str, step: str) -> Any:  # noqa: ANN401 -- a JSON value
    if isinstance(node, list):
        index = _index(field, node, step)
        return None if index is None else node[index]
    return node.get(step) if isinstance(node, dict) else None


def _lookup(document: dict[str, Any], path: Path) -> Any:  # noqa: ANN401 -- a JSON value
    node: Any = document
    for position, step in enumerate(path):
        node = _child(node, path[position - 1] if position else "", step)
    return node


def _put(document: dict[str, Any], path: Path, value: object) -> None:
    node: Any = document
    for position, step in enumerate(path[:-1]):
        following = _child(node, path[position - 1] if position else "", step)
        if following is None:
            following = [] if path[position + 1].startswith("[") else {}
            node[step] = following
        node = following
    if not isinstance(node, list):
        node[path[-1]] = copy.deepcopy(value)
    elif (index := _index(path[-2], node, path[-1])) is None:
        # A new item comes in with its fields one by one, for each has its own owner.
        key = path[-1][1:-1].split("=", 1)[0]
        node.append({key: value[key]} if isinstance(value, dict) else copy.deepcopy(value))
    elif not isinstance(value, dict):
        node[index] = copy.deepcopy(value)


def _drop(document: dict[str, Any], path: Path) -> None:
    parent = _lookup(document, path[:-1]) if len(path) > 1 else document
    if isinstance(parent, list):
        index = _index(path[-2], parent, path[-1])
        if index is not None:
            del parent[index]
    elif isinstance(parent, dict):
        parent.pop(path[-1], None)
    if parent in ({}, []) and len(path) > 1:
        _drop(document, path[:-1])
