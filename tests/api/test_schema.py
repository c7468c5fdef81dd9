"""The committed definitions: current, deterministic, bounded, and in the words of the API."""

import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from modelrefresh.api import names, schema

_CRDS = pathlib.Path(__file__).parents[2] / "crds"
_each_kind = pytest.mark.parametrize("kind", schema.KINDS, ids=lambda kind: kind.name)


def _nodes(node: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 -- any part of a schema
    if isinstance(node, dict):
        yield node
        for item in node.values():
            yield from _nodes(item)
    elif isinstance(node, list):
        for item in node:
            yield from _nodes(item)


def _root(kind: schema.Kind) -> dict[str, Any]:
    (version,) = schema.definition(kind)["spec"]["versions"]
    return dict(version["schema"]["openAPIV3Schema"])


@_each_kind
def test_the_committed_definition_is_what_the_models_say_today(kind: schema.Kind) -> None:
    committed = (_CRDS / f"{names.GROUP}_{kind.plural}.yaml").read_text()
    assert committed == schema.render(kind), "run `make crds` and commit crds/"


def test_there_is_one_definition_per_kind_and_no_other(tmp_path: pathlib.Path) -> None:
    schema.main(tmp_path)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_bytes() for path in _CRDS.iterdir()}


def test_no_category_hides_a_kind_from_kubectl() -> None:
    named = [schema.definition(kind)["spec"]["names"] for kind in schema.KINDS]
    kinds = {name for item in named for name in (item["singular"], item["plural"], *item["shortNames"])}
    assert kinds & {category for item in named for category in item["categories"]} == set()


@_each_kind
def test_nothing_is_left_of_references_and_choices(kind: schema.Kind) -> None:
    assert not [node for node in _nodes(_root(kind)) if {"$ref", "anyOf", "oneOf", "allOf", "title"} & node.keys()]


@_each_kind
def test_every_field_of_spec_is_described(kind: schema.Kind) -> None:
    fields = [
        (name, field)
        for node in _nodes(_root(kind)["properties"]["spec"])
        if isinstance(node.get("properties"), dict)
        for name, field in node["properties"].items()
    ]
    assert fields
    assert [name for name, field in fields if not field.get("description")] == []


@_each_kind
def test_every_rule_says_its_message(kind: schema.Kind) -> None:
    rules = [rule for node in _nodes(_root(kind)) for rule in node.get("x-kubernetes-validations", [])]
    assert all(rule["message"] and "\n" not in rule["rule"] for rule in rules)


@pytest.mark.parametrize("text", ["warmupRatio", "confidence", "epochs", "scale"])
def test_texts_that_look_like_numbers_are_quoted_for_every_reader(text: str) -> None:
    lines = schema.render(schema.KINDS[0]).splitlines()
    place = next(place for place, line in enumerate(lines) if line.strip() == f"{text}:")
    assert re.search(r'default: "[0-9.e-]+"', "\n".join(lines[place : place + 5]))


@_each_kind
def test_no_field_inside_a_list_item_has_a_default(kind: schema.Kind) -> None:
    items = [node["items"] for node in _nodes(_root(kind)) if isinstance(node.get("items"), dict)]
    fields = [field for item in items for node in _nodes(item) for field in node.get("properties", {}).items()]
    assert items
    assert [name for name, field in fields if "default" in field] == []


@_each_kind
def test_a_field_of_a_list_item_that_may_be_absent_says_what_its_absence_means(kind: schema.Kind) -> None:
    spec = _root(kind)["properties"]["spec"]
    defaulted = {
        (name, field["description"])
        for node in _nodes(kind.spec.model_json_schema(by_alias=True))
        for name, field in (node["properties"].items() if isinstance(node.get("properties"), dict) else ())
        if field.get("default") and not isinstance(field["default"], list | dict)
    }
    chosen = [
        (name, field["description"])
        for item in (node["items"] for node in _nodes(spec) if isinstance(node.get("items"), dict))
        for node in _nodes(item)
        for name, field in node.get("properties", {}).items()
        if ("enum" in field and name not in node.get("required", ())) or (name, field["description"]) in defaulted
    ]
    assert [name for name, said in chosen if "if absent" not in said] == []


@_each_kind
def test_a_rule_asks_first_whether_a_field_that_may_be_absent_is_there(kind: schema.Kind) -> None:
    unguarded = [
        (name, rule["rule"])
        for node in _nodes(_root(kind))
        for rule in node.get("x-kubernetes-validations", [])
        for name in sorted(set(re.findall(r"(?<!has\()self\.([a-zA-Z]+)\b(?!\()", rule["rule"])))
        if name in node.get("properties", {})
        and name not in node.get("required", ())
        and "default" not in node["properties"][name]
        and f"has(self.{name})" not in rule["rule"]
    ]
    assert unguarded == []


@_each_kind
def test_a_rule_that_wants_a_list_to_be_absent_takes_an_empty_one_for_it(kind: schema.Kind) -> None:
    taken = [
        (path, rule["rule"])
        for node in _nodes(_root(kind))
        for rule in node.get("x-kubernetes-validations", [])
        for path in re.findall(r"has\(self\.([a-zA-Z.]+)\)", rule["rule"])
        if _below(node, path.split(".")).get("type") == "array"
        and not re.search(rf"self\.{re.escape(path)}\.(size|exists|all)\(", rule["rule"])
    ]
    assert taken == []


def _below(node: dict[str, Any], path: list[str]) -> dict[str, Any]:
    for name in path:
        node = node.get("properties", {}).get(name, {})
    return node


@_each_kind
def test_the_file_reads_back_as_the_definition(kind: schema.Kind) -> None:
    assert yaml.safe_load(schema.render(kind)) == schema.definition(kind)


def test_short_names_are_those_of_the_documentation() -> None:
    assert [kind.short for kind in schema.KINDS] == ["mref", "ires", "mver", "rprof"]


def test_only_profiles_belong_to_the_cluster() -> None:
    assert [kind.name for kind in schema.KINDS if not kind.namespaced] == [names.PROFILE]
