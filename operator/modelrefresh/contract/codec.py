"""Frozen records to JSON documents and back, strictly.

Knows the few shapes the contract uses: str, int, float, bool, enums, tuples, mappings,
optionals, nested records, texts of a form and numbers of a range. Refuses unknown and missing keys and
wrong types by name, so that an operator and a Job image of different versions fail loudly, not by guessing.
Written by hand because the contract must need nothing but the standard library.
"""

import dataclasses
import enum
import json
import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from modelrefresh.contract.limits import Range

R = TypeVar("R")
E = TypeVar("E", bound=enum.Enum)


class CodecError(ValueError):
    """A document does not fit the record; the message names the path, what was seen and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What an `Annotated` text must look like, as a regular expression over all of it and in words."""

    pattern: str
    says: str


def to_document(record: object) -> dict[str, Any]:
    """Render a record as JSON-ready dictionaries and lists; fields that are None are left out."""
    rendered = _render(record)
    assert isinstance(rendered, dict)  # noqa: S101 -- a record always renders to an object
    return rendered


def known(kind: type, document: object) -> object:
    """The document without the keys that a record of this kind does not have, at any depth.

    For answers: what a newer writer adds says nothing about what it says in our words.
    """
    if not isinstance(document, Mapping):
        return document
    hints = typing.get_type_hints(kind)
    return {name: _known_item(hints[name], value) for name, value in document.items() if name in hints}


def from_document(kind: type[R], document: object, *, path: str = "", given: Mapping[str, object] | None = None) -> R:
    """Parse a JSON document into a record of this kind; fields that are `given` do not come from the document.

    Raises:
        CodecError: a key is unknown or missing, or a value has another type.
    """
    if not isinstance(document, Mapping):
        raise CodecError(f"{path or kind.__name__}: expected an object, saw {type(document).__name__}")
    hints = typing.get_type_hints(kind, include_extras=True)
    values = dict(given or {})
    fields = {field.name: field for field in dataclasses.fields(kind) if field.name not in values}  # type: ignore[arg-type]
    unknown = sorted(set(document) - set(fields))
    if unknown:
        raise CodecError(f"{path or kind.__name__}: unknown keys {unknown}; accepted: {sorted(fields)}")
    for name, field in fields.items():
        where = f"{path}.{name}" if path else name
        if name in document:
            values[name] = _parse(hints[name], document[name], path=where)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise CodecError(f"{where}: missing; expected {_spell(hints[name])}")
    return kind(**values)


def read_object(text: str, *, path: str) -> dict[str, Any]:
    """The JSON object in a text.

    Raises:
        CodecError: not JSON, or no object.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"{path}: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise CodecError(f"{path}: expected an object, saw {type(document).__name__}")
    return document


def parse_enum(hint: type[E], value: object, *, path: str) -> E:
    """A word of an enumeration.

    Raises:
        CodecError: it is none of them.
    """
    try:
        return hint(value)
    except ValueError:
        raise CodecError(f"{path}: {value!r} is not one of {[item.value for item in hint]}") from None


def _known_item(hint: Any, value: object) -> object:  # noqa: ANN401 -- type hints have no common type
    records = [one for one in (hint, *typing.get_args(hint)) if isinstance(one, type) and dataclasses.is_dataclass(one)]
    if not records:
        return value
    return [known(records[0], item) for item in value] if isinstance(value, list) else known(records[0], value)


def _render(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: _render(item) for name, item in pairs if item is not None}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [_render(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _render(item) for key, item in value.items()}
    return value


def _parse(hint: Any, value: object, *, path: str) -> object:  # noqa: ANN401 -- type hints have no common type
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _parse_form(arguments, value, path=path)
    if origin in (types.UnionType, typing.Union):
        return _parse_optional(arguments, value, path=path)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise _mismatch(hint, value, path=path)
        return tuple(_parse(arguments[0], item, path=f"{path}[{i}]") for i, item in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise _mismatch(hint, value, path=path)
        return {
            str(_parse(str, key, path=path)): _parse(arguments[1], item, path=f"{path}.{key}")
            for key, item in value.items()
        }
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_document(hint, value, path=path)
    parse = parse_enum if issubclass(hint, enum.Enum) else _parse_scalar
    return parse(hint, value, path=path)


def _parse_form(arguments: tuple[Any, ...], value: object, *, path: str) -> object:
    parsed = _parse(arguments[0], value, path=path)
    for form in arguments[1:]:
        if isinstance(form, Form) and not re.fullmatch(form.pattern, str(parsed), flags=re.DOTALL):
            raise CodecError(f"{path}: expected {form.says}, saw {parsed!r}")
        if isinstance(form, Range) and isinstance(parsed, int | float) and _is_beyond(form, parsed):
            raise CodecError(f"{path}: expected a number {form.accepted}, saw {parsed!r}")
    return parsed


def _is_beyond(limit: Range, value: float) -> bool:
    return not limit.holds(value) and value != limit.none


def _parse_optional(arguments: tuple[Any, ...], value: object, *, path: str) -> object:
    inner = [argument for argument in arguments if argument is not type(None)]
    return None if value is None else _parse(inner[0], value, path=path)


def _parse_scalar(hint: type, value: object, *, path: str) -> object:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise CodecError(f"{path}: expected float, saw an integer beyond all of them") from None
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise _mismatch(hint, value, path=path)
    if isinstance(value, float) and not math.isfinite(value):
        raise CodecError(f"{path}: expected a finite number, saw {value!r}")
    if isinstance(value, str) and not value.isprintable() and _is_broken(value):
        raise CodecError(f"{path}: expected Unicode text, saw half a character in {value!r:.80}")
    return value


def _is_broken(text: str) -> bool:
    """JSON may escape what no document of the API can hold: half of a surrogate pair."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _mismatch(hint: object, value: object, *, path: str) -> CodecError:
    return CodecError(f"{path}: expected {_spell(hint)}, saw {type(value).__name__} {value!r}")


def _spell(hint: object) -> str:
    plain = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
    return plain.__name__ if isinstance(plain, type) else str(plain)
