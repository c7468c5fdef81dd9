"""Which values the chart takes, and what it says of the others."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.chart import render


@pytest.mark.parametrize("name", render.MATRIX)
def test_helm_lints_every_value_set(name: str) -> None:
    answer = render.run("lint", "--strict", str(render.CHART), values=render.MATRIX[name])
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("name", render.MATRIX)
def test_no_two_objects_have_the_same_name(name: str) -> None:
    keys = [
        (o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in render.objects(render.MATRIX[name])
    ]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("name", render.MATRIX)
def test_every_object_carries_the_common_labels(name: str) -> None:
    values = render.MATRIX[name]
    wanted = {"app.kubernetes.io/part-of": "modelrefresh", **values.get("commonLabels", {})}
    assert [
        o["metadata"]["name"] for o in render.objects(values) if not wanted.items() <= o["metadata"]["labels"].items()
    ] == []


def test_the_profile_is_a_hook_for_helm_or_a_plain_object_for_argo_cd() -> None:
    hook = render.only("RefreshProfile", render.EVERYTHING)["metadata"]["annotations"]
    plain = render.only("RefreshProfile", render.PLAIN_PROFILE)["metadata"]["annotations"]
    assert hook == {"helm.sh/hook": "post-install,post-upgrade"}
    assert plain == {
        "argocd.argoproj.io/sync-wave": "1",
        "argocd.argoproj.io/sync-options": "SkipDryRunOnMissingResource=true",
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replcas": 3}, "replcas"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"watchNamespaces": ["Team_A"]}, "watchNamespaces"),
        ({"logging": {"level": "chatty"}}, "level"),
        ({"profile": {"create": True}}, "profile.image"),
        ({"profile": {"hook": "no"}}, "hook"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name"),
        ({"metrics": {"service": False, "serviceMonitor": {"enabled": True}}}, "metrics.service"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_value_that_makes_no_sense_is_refused_by_name(values: dict[str, Any], said: str) -> None:
    answer = render.run("template", "release", str(render.CHART), values=values)
    assert answer.returncode != 0
    assert said in answer.stderr


def test_the_schema_knows_every_value_and_no_other() -> None:
    values = yaml.safe_load((render.CHART / "values.yaml").read_text())
    schema = json.loads((render.CHART / "values.schema.json").read_text())
    assert set(_value_paths(values, schema)) == set(_schema_paths(schema)) - {"global"}


def _value_paths(values: dict[str, Any], schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield prefix + key
        below = schema["properties"].get(key, {})
        if isinstance(value, dict) and "properties" in below:
            yield from _value_paths(value, below, f"{prefix}{key}.")


def _schema_paths(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, below in schema["properties"].items():
        yield prefix + key
        if "properties" in below:
            yield from _schema_paths(below, f"{prefix}{key}.")
