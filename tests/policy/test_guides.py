"""What the guides of docs/ tell people to save, to run and to look at fits the code."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelrefresh.api import model, names, spec
from tests.policy import checkout

DOCS = checkout.ROOT / "docs"
DEMO = checkout.ROOT / "examples" / "04-refresh.yaml"


def _blocks(language: str) -> list[str]:
    text = (DOCS / "start.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def _refresh() -> dict[str, Any]:
    [found] = [item for item in map(yaml.safe_load, _blocks("yaml")) if item["kind"] == names.REFRESH]
    return dict(found)


def _records(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the tutorial's program has run."""
    [program] = _blocks("python")
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "mine.py", "exec"), {})  # noqa: S102 -- the page's own program
    return tmp_path


def test_every_answer_of_the_tutorial_stands_in_its_documents(written: Path) -> None:
    text = "\n".join(record["text"] for record in _records(written / "news.jsonl"))
    assert [item for item in _records(written / "questions.jsonl") if item["answer"] not in text] == []


def test_the_tutorials_pattern_finds_the_answer_in_the_form_that_the_model_was_taught(written: Path) -> None:
    for item in _records(written / "questions.jsonl"):
        found = re.search(item["pattern"], f"Answer: {item['answer']}.")
        assert found is not None
        assert found[1] == item["answer"]


def test_the_tutorials_refresh_is_one_that_the_operator_understands() -> None:
    parsed = model.parse(spec.RefreshSpec, _refresh()["spec"])
    assert {gate.suite for gate in parsed.evaluation.gates} == {suite.name for suite in parsed.evaluation.suites}


def test_the_tutorial_changes_the_demos_refresh() -> None:
    mine, demo = _refresh(), yaml.safe_load(DEMO.read_text(encoding="utf-8"))
    assert mine["metadata"] == demo["metadata"]
    for field in ("profile", "base", "residualRef", "rollout"):
        assert mine["spec"][field] == demo["spec"][field]


def test_whoever_is_on_call_finds_every_alert_once() -> None:
    alerts = re.findall(r"^## (\w+)$", (DOCS / "runbooks.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    page = (DOCS / "howto" / "on-call.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| \[(\w+)\]", page, flags=re.MULTILINE)) == sorted(alerts)
