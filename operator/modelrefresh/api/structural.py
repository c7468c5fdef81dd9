"""JSON schema as pydantic writes it -> structural schema as the API server takes it.

Knows JSON only, no kind of ours. References are put in place, null alternatives are
dropped, exclusive bounds and titles go. Defaults inside list items go too: whoever compares a
list as a whole (server-side apply, GitOps tools) would see them as changes. Refuses what has
no structural form and what would make the cost of rules unbounded: a string, list or map
without a bound.
"""

from collections.abc import Mapping
from typing import Any, Final

_VALIDATIONS: Final = "x-kubernetes-validations"
_KEPT: Final = (
    "type",
    "format",
    "description",
    "default",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "required",
)
_IGNORED: Final = {"title", "additionalProperties", "properties", "items", "$defs", "$ref", "anyOf", "const"}
_INT32: Final = 2**31 - 1


class StructuralError(Exception):
    """A schema has no structural form; the message names the path and what to change in the model."""


def convert(document: Mapping[str, Any]) -> dict[str, Any]:
    """The structural schema behind a pydantic JSON schema."""
    return _convert(document, document.get("$defs", {}), path="")


def _convert(node: Mapping[str, Any], definitions: Mapping[str, Any], *, path: str) -> dict[str, Any]:
    node = _inline(node, definitions, path=path)
    unknown = {key for key in node if key not in _KEPT and key not in _IGNORED and not key.startswith("x-kubernetes-")}
    if unknown:
        raise StructuralError(f"{path}: {sorted(unknown)} have no structural form; say it with bounds, enum or a claim")
    result: dict[str, Any] = {key: node[key] for key in _KEPT if key in node}
    if "properties" in node:
        names = node["properties"]
        result["properties"] = {name: _convert(names[name], definitions, path=f"{path}.{name}") for name in names}
    elif isinstance(node.get("additionalProperties"), Mapping):
        result["additionalProperties"] = _convert(node["additionalProperties"], definitions, path=f"{path}[*]")
    if "items" in node:
        result["items"] = _convert(node["items"], definitions, path=f"{path}[]")
    result |= {key: value for key, value in node.items() if key.startswith("x-kubernetes-")}
    _settle_default(result, path=path)
    _require_bounds(result, path=path)
    return result


def _inline(node: Mapping[str, Any], definitions: Mapping[str, Any], *, path: str) -> dict[str, Any]:
    """Put a reference or the only alternative to null in place; what stands beside it wins, rules add up."""
    if "anyOf" in node:
        inner = [item for item in node["anyOf"] if item.get("type") != "null"]
        if len(inner) != 1:
            raise StructuralError(f"{path}: a choice of types has no structural form; use one type")
        beside = {key: value for key, value in node.items() if key != "anyOf"}
        if beside.get("default", ...) is None:
            del beside["default"]
        return _inline(_over(inner[0], beside), definitions, path=path)
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return _inline(_over(target, beside), definitions, path=path)
    return dict(node)


def _over(below: Mapping[str, Any], beside: Mapping[str, Any]) -> dict[str, Any]:
    rules = [*below.get(_VALIDATIONS, []), *beside.get(_VALIDATIONS, [])]
    return {**below, **beside, **({_VALIDATIONS: rules} if rules else {})}


def _settle_default(result: dict[str, Any], *, path: str) -> None:
    """Objects default to {} so that their fields default one by one; empty lists and maps, and list items, do not."""
    if "[]" in path:
        result.pop("default", None)
    if "default" not in result:
        return
    if "properties" in result:
        if _VALIDATIONS in result:
            raise StructuralError(
                f"{path}: the API server tries rules on the bare default {{}}; state them one part up"
            )
        result["default"] = {}
    elif result["default"] in ([], {}):
        del result["default"]


def _require_bounds(result: dict[str, Any], *, path: str) -> None:
    kind = result.get("type")
    if kind == "string" and not {"maxLength", "enum", "format"} & result.keys():
        raise StructuralError(f"{path}: a string without max_length")
    if kind == "array" and "maxItems" not in result:
        raise StructuralError(f"{path}: a list without max_length")
    if kind == "object" and "additionalProperties" in result and "maxProperties" not in result:
        raise StructuralError(f"{path}: a map without max_length")
    if kind == "object" and not {"properties", "additionalProperties"} & result.keys():
        raise StructuralError(f"{path}: an object without fields; give it a model")
    if kind == "integer":
        result["format"] = "int64" if result.get("maximum", _INT32 + 1) > _INT32 else "int32"
    if kind is None:
        raise StructuralError(f"{path}: a value of any type has no structural form; give it a type")
