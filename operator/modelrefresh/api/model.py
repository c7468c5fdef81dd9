"""What all parts of our API objects are made of: base class, claims, list-maps, scalar types.

A claim is a rule over a value that plain schema keywords cannot say. It is written down
twice in one place: as CEL for the API server and as a Python predicate for parse(), with the
same message. Knows nothing of any particular kind.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

import pydantic
from pydantic.alias_generators import to_camel
from pydantic.annotated_handlers import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from modelrefresh import errors
from modelrefresh.contract.limits import Range

VALIDATIONS = "x-kubernetes-validations"
_CLAIM = "claim"
_SHOWN = 80
"""Characters of a refused value that a message repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRule:
    """A rule over one value; usable on a type (`Annotated`) and on a part (`ApiModel.claims`)."""

    cel: str
    holds: Callable[[Any], bool]
    message: str
    """What the user reads; only the fallback where `expression` is given."""
    expression: str | None = None
    """CEL that yields the message with the value seen."""
    says: Callable[[Any], str] | None = None
    """The same in Python."""
    path: str | None = None
    """Field below the value that is at fault, as `.field`."""

    def fault(self, value: object) -> str | None:
        """The message, or None where the claim holds."""
        if self.holds(value):
            return None
        return self.says(value) if self.says else self.message

    def rule(self) -> dict[str, str]:
        """The claim as an entry of x-kubernetes-validations."""
        rule = {"rule": self.cel, "message": self.message}
        if self.expression:
            rule["messageExpression"] = self.expression
        if self.path:
            rule["fieldPath"] = self.path
        return rule

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        def verify(value: object) -> object:
            _raise_broken((self,), value)
            return value

        return core_schema.no_info_after_validator_function(verify, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        document = handler(schema)
        return {**document, VALIDATIONS: [*document.get(VALIDATIONS, []), self.rule()]}


@dataclass(frozen=True, slots=True)
class ListMap:
    """A list whose items are told apart by one required field."""

    key: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        def verify(items: tuple[Any, ...]) -> tuple[Any, ...]:
            names = [getattr(item, self.key) for item in items]
            twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
            if twice is not None:
                template = 'Duplicate value: {key} "{name}" occurs twice'
                raise PydanticCustomError("duplicate", template, {"key": self.key, "name": str(twice)})
            return items

        return core_schema.no_info_after_validator_function(verify, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        keys = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [to_camel(self.key)]}
        return {**handler(schema), **keys}


class ApiModel(pydantic.BaseModel):
    """Common form of all parts: immutable, camelCase outside, unknown fields refused."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )
    rules: ClassVar[tuple[ValidationRule, ...]] = ()

    @pydantic.model_validator(mode="after")
    def _keep_claims(self) -> Self:
        _raise_broken(self.rules, self)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        document = handler(schema)
        if cls.rules:
            handler.resolve_ref_schema(document)[VALIDATIONS] = [claim.rule() for claim in cls.rules]
        return document


def whole(limit: Range) -> Any:  # noqa: ANN401 -- as pydantic.Field, which mypy takes for any type
    """A whole number in this range, with its default."""
    default = ... if limit.default is None else limit.default
    return pydantic.Field(default=default, ge=limit.least, le=limit.most)


def between(limit: Range) -> ValidationRule:
    """A decimal in a string, in this range."""
    number = r"-?[0-9]+(\.[0-9]+)?(e-?[0-9]{1,2})?"
    accepted = limit.accepted
    return ValidationRule(
        cel=f"self.matches(r'^{number}$') && double(self) {'>' if limit.open_low else '>='} {float(limit.least)!r}"
        f" && double(self) {'<' if limit.open_high else '<='} {float(limit.most)!r}",
        holds=lambda text: bool(re.fullmatch(number, text)) and limit.holds(float(text)),
        message=f"is not a decimal number {accepted}",
        expression=f"""'"' + self + '" is not a decimal number {accepted}'""",
        says=lambda text: f'"{text}" is not a decimal number {accepted}',
    )


def _raise_broken(rules: tuple[ValidationRule, ...], value: object) -> None:
    pairs = ((claim.path or "", claim.fault(value)) for claim in rules)
    broken = [(path, fault) for path, fault in pairs if fault]
    if broken:
        text = "; ".join(fault for _, fault in broken)
        raise PydanticCustomError(_CLAIM, "{text}", {"text": text, "broken": broken})


S = TypeVar("S", bound=ApiModel)


def parse(kind: type[S], document: object) -> S:
    """The spec behind an API object's `spec`.

    Raises:
        SpecError: with every fault, each naming the field, what was seen and what is accepted.
    """
    try:
        return kind.model_validate_json(json.dumps(document), strict=True)
    except pydantic.ValidationError as error:
        items = error.errors()
        faults = (fault for item in items if not _is_echo(item, items) for fault in _faults(item))
        raise errors.SpecError(tuple(faults)) from error


def _is_echo(item: ErrorDetails, items: list[ErrorDetails]) -> bool:
    """A list counts as too short when its items were refused; that says nothing new."""
    here = item["loc"]
    return item["type"] == "too_short" and any(
        len(other["loc"]) > len(here) and other["loc"][: len(here)] == here for other in items
    )


def _faults(item: ErrorDetails) -> list[str]:
    path = "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"])
    if item["type"] == _CLAIM:
        return [f"{path}{below}: {fault}" for below, fault in item["ctx"]["broken"]]
    return [f"{path}: {item['msg']} (saw {item['input']!r:.{_SHOWN}})"]
