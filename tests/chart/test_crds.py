"""The chart's CRDs are those that `make crds` wrote."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart import render

SOURCES = sorted((render.ROOT / "crds").glob("*.yaml"))


def _crds(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {crd["metadata"]["name"]: crd for crd in render.of_kind("CustomResourceDefinition", values)}


def test_the_chart_brings_the_four_kinds() -> None:
    assert {crd["spec"]["names"]["kind"] for crd in _crds(render.DEFAULT).values()} == {
        "InstructionResidual",
        "ModelRefresh",
        "ModelVersion",
        "RefreshProfile",
    }


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_copy_in_the_chart_is_current(source: Path) -> None:
    assert (render.CHART / "files" / "crds" / source.name).read_bytes() == source.read_bytes()


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_rendering_changes_nothing_but_metadata(source: Path) -> None:
    written = yaml.safe_load(source.read_text())
    rendered = _crds(render.DEFAULT)[written["metadata"]["name"]]
    assert rendered["spec"] == written["spec"]
    assert rendered["apiVersion"] == written["apiVersion"]


def test_crds_outlive_the_release_unless_told_otherwise() -> None:
    keep = {"helm.sh/resource-policy": "keep"}
    assert all(keep.items() <= crd["metadata"]["annotations"].items() for crd in _crds(render.DEFAULT).values())
    let_go = _crds({"crds": {"keep": False}}).values()
    assert len(let_go) == 4
    assert not any(keep.items() <= crd["metadata"].get("annotations", {}).items() for crd in let_go)


def test_crds_can_be_left_to_somebody_else() -> None:
    assert _crds(render.WITHOUT_CRDS) == {}
