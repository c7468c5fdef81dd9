"""Alerts and dashboard: they parse, they speak of metrics that exist, and every alert has its runbook."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase

from hack.cluster import tools
from modelrefresh import metrics
from tests.chart import render

NAME = re.compile(r"\bmodelrefresh_[a-z0-9_]+")
RUNBOOKS = render.ROOT / "docs" / "runbooks.md"


def _groups() -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = render.only("PrometheusRule", render.EVERYTHING)["spec"]["groups"]
    return groups


def _alerts() -> list[dict[str, Any]]:
    return [rule for group in _groups() for rule in group["rules"]]


def _dashboard() -> dict[str, Any]:
    [board] = [
        o for o in render.of_kind("ConfigMap", render.EVERYTHING) if o["metadata"]["name"].endswith("-dashboard")
    ]
    document: dict[str, Any] = json.loads(board["data"]["modelrefresh.json"])
    return document


def _exposed() -> set[str]:
    names = {sample.name for family in metrics.REGISTRY.collect() for sample in family.samples}
    for metric in (value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)):
        family = next(iter(metric.describe()))
        names |= {family.name, f"{family.name}_total"} if family.type == "counter" else {family.name}
        if isinstance(metric, Histogram):
            names |= {f"{family.name}_{part}" for part in ("bucket", "count", "sum")}
    return names


def test_every_alert_asks_for_metrics_that_the_operator_has() -> None:
    asked = {name for alert in _alerts() for name in NAME.findall(alert["expr"])}
    assert asked
    assert asked - _exposed() == set()


def test_every_panel_asks_for_metrics_that_the_operator_has() -> None:
    asked = {
        name for panel in _dashboard()["panels"] for target in panel["targets"] for name in NAME.findall(target["expr"])
    }
    assert asked
    assert asked - _exposed() == set()


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    headings = re.findall(r"^## (ModelRefresh\w+)$", RUNBOOKS.read_text(), flags=re.MULTILINE)
    assert sorted(headings) == sorted(alert["alert"] for alert in _alerts())
    assert all(
        alert["annotations"]["runbook_url"] == f"docs/runbooks.md#{alert['alert'].lower()}" for alert in _alerts()
    )


def test_every_alert_says_how_bad_it_is_and_what_it_is_about() -> None:
    assert {alert["labels"]["severity"] for alert in _alerts()} <= {"info", "warning", "critical"}
    assert all(alert["annotations"].keys() == {"summary", "description", "runbook_url"} for alert in _alerts())


def test_the_age_of_a_stale_model_can_be_set() -> None:
    values = {
        "metrics": {
            "prometheusRule": {"enabled": True, "staleAfterDays": 3, "runbookBaseUrl": "https://wiki.example/r"}
        }
    }
    text = json.dumps(render.only("PrometheusRule", values))
    assert "> 3 * 86400" in text
    assert "https://wiki.example/r#modelrefreshstalled" in text


def test_prometheus_takes_the_rules_and_they_fire_as_meant(tmp_path: Path) -> None:
    promtool = tools.promtool()
    if promtool is None:
        pytest.skip("no promtool on PATH, and no apt-get to fetch it from Debian's package prometheus")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": _groups()}))
    shutil.copy(Path(__file__).parent / "alerts.yaml", tmp_path)
    for command in ((promtool, "check", "rules", "rules.yaml"), (promtool, "test", "rules", "alerts.yaml")):
        answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stdout + answer.stderr


def test_no_two_panels_overlap() -> None:
    cells = [
        (x, y)
        for panel in _dashboard()["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
