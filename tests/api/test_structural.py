"""From pydantic's JSON schema to what the API server takes."""

from collections.abc import Mapping
from typing import Annotated, Any

import pydantic
import pytest

from modelrefresh.api import structural
from modelrefresh.api.model import ApiModel, ListMap, ValidationRule
from modelrefresh.api.structural import StructuralError

Short = Annotated[str, pydantic.Field(max_length=9)]
_KNOWN = ValidationRule(cel="self != ''", holds=bool, message="is empty")


class Inner(ApiModel):
    """What stands inside."""

    name: Short


class Outer(ApiModel):
    """What stands outside."""

    inner: Inner = Inner(name="a")
    """What the field says."""
    absent: Short | None = None
    items: Annotated[tuple[Inner, ...], pydantic.Field(max_length=3), ListMap("name")] = ()
    map: Annotated[Mapping[str, Short], pydantic.Field(max_length=3)] = {}
    count: int = pydantic.Field(default=1, ge=1, le=2**40)
    known: Annotated[Short, _KNOWN] = "a"


def _schema(kind: type[ApiModel]) -> dict[str, Any]:
    return structural.convert(kind.model_json_schema(by_alias=True))


def test_references_are_put_in_place_and_the_field_speaks_first() -> None:
    inner = _schema(Outer)["properties"]["inner"]
    assert (inner["description"], inner["properties"]["name"]["type"]) == ("What the field says.", "string")


def test_an_optional_field_has_its_own_type_and_no_default() -> None:
    assert _schema(Outer)["properties"]["absent"] == {"type": "string", "maxLength": 9}


def test_an_object_defaults_to_an_empty_one_whose_fields_default_themselves() -> None:
    assert _schema(Outer)["properties"]["inner"]["default"] == {}


def test_empty_lists_and_maps_have_no_default() -> None:
    properties = _schema(Outer)["properties"]
    assert "default" not in properties["items"]
    assert "default" not in properties["map"]


def test_nothing_inside_a_list_item_has_a_default() -> None:
    class Holder(ApiModel):
        outers: Annotated[tuple[Outer, ...], pydantic.Field(max_length=3)] = ()

    properties = _schema(Holder)["properties"]["outers"]["items"]["properties"]
    assert [name for name, field in properties.items() if "default" in field] == []


def test_a_list_map_names_its_key() -> None:
    items = _schema(Outer)["properties"]["items"]
    assert (items["x-kubernetes-list-type"], items["x-kubernetes-list-map-keys"]) == ("map", ["name"])


def test_a_map_keeps_its_bound_and_its_values() -> None:
    found = _schema(Outer)["properties"]["map"]
    assert (found["maxProperties"], found["additionalProperties"]["maxLength"]) == (3, 9)


def test_integers_say_their_width() -> None:
    assert _schema(Outer)["properties"]["count"]["format"] == "int64"


def test_a_claim_becomes_a_rule() -> None:
    rules = _schema(Outer)["properties"]["known"]["x-kubernetes-validations"]
    assert rules == [{"rule": "self != ''", "message": "is empty"}]


def test_rules_of_a_field_add_to_the_rules_of_its_type() -> None:
    class Ruled(ApiModel):
        rules = (_KNOWN,)
        name: Short

    class Holder(ApiModel):
        ruled: Annotated[Ruled, ValidationRule(cel="true", holds=bool, message="second")]

    rules = _schema(Holder)["properties"]["ruled"]["x-kubernetes-validations"]
    assert [rule["message"] for rule in rules] == ["is empty", "second"]


def _holding(annotation: Any, default: Any = ...) -> type[ApiModel]:  # noqa: ANN401 -- any type a field may have
    return pydantic.create_model("Holding", __base__=ApiModel, field=(annotation, default))


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (str, "a string without max_length"),
        (tuple[Short, ...], "a list without max_length"),
        (Mapping[str, Short], "a map without max_length"),
        (Any, "a value of any type has no structural form"),
        (Short | int, "a choice of types has no structural form"),
        (Annotated[int, pydantic.Field(gt=0)], "exclusiveMinimum"),
        (Annotated[tuple[Short, Short], pydantic.Field()], "prefixItems"),
    ],
)
def test_what_has_no_bound_or_no_structural_form_is_refused(annotation: object, message: str) -> None:
    with pytest.raises(StructuralError, match=message) as caught:
        _schema(_holding(annotation))
    assert str(caught.value).startswith(".field")


def test_a_part_with_rules_cannot_default_to_an_empty_one() -> None:
    class Ruled(ApiModel):
        rules = (_KNOWN,)
        name: Short = "a"

    with pytest.raises(StructuralError, match="state them one part up"):
        _schema(_holding(Ruled, Ruled()))
