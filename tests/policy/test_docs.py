"""What the documents claim of the code: commands, paths, reasons, metrics, links, the first example."""

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from modelrefresh import metrics
from modelrefresh.api import model, names, spec
from modelrefresh.api.conditions import Reason
from modelrefresh.runtime import access
from tests.policy import checkout

README = checkout.ROOT / "README.md"
README_LINES = 120
PAGES = tuple(path for path in checkout.files() if path.suffix == ".md")
TARGET = re.compile(r"^([a-z][a-z-]*):", flags=re.MULTILINE)
MAKE = re.compile(r"(?:^ {4}|`)make ([a-z-]+)", flags=re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)\s]*)?\)")
CODE = re.compile(r"`[^`\n]*`")
CELL = re.compile(r"^\| `([A-Za-z_]+)`", flags=re.MULTILINE)


def _text(name: str) -> str:
    return (checkout.ROOT / name).read_text(encoding="utf-8")


def _blocks(text: str, language: str) -> list[str]:
    fenced = re.finditer(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [block[2] for block in fenced if block[1] == language]


def test_the_readme_is_short() -> None:
    assert len(_text("README.md").splitlines()) <= README_LINES


def test_the_makefile_has_few_short_recipes() -> None:
    text = _text("Makefile")
    assert len(set(TARGET.findall(text))) <= 12
    assert (
        max(len(recipe.strip().splitlines()) for recipe in re.findall(r"(?:^\t.*\n?)+", text, flags=re.MULTILINE)) <= 6
    )


@pytest.mark.parametrize("page", PAGES, ids=checkout.name)
def test_every_make_command_exists(page: Path) -> None:
    assert set(MAKE.findall(page.read_text(encoding="utf-8"))) - set(TARGET.findall(_text("Makefile"))) == set()


@pytest.mark.parametrize("page", PAGES, ids=checkout.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    assert [link for link in LINK.findall(text) if not (page.parent / link).exists()] == []


def test_the_readmes_tree_is_true() -> None:
    [tree] = [block for block in _blocks(_text("README.md"), "") if "operator/modelrefresh/" in block]
    paths = [word for line in tree.splitlines() for word in re.split(r" {2,}", line)[0].split()]
    assert len(paths) > 8
    assert [path for path in paths if not (checkout.ROOT / path).is_dir()] == []


def test_the_readmes_first_example_is_a_refresh_that_the_operator_understands() -> None:
    [example] = _blocks(_text("README.md"), "yaml")
    parsed = model.parse(spec.RefreshSpec, yaml.safe_load(example)["spec"])
    assert parsed.rollout.deployment.name == "chat"


def test_every_reason_is_explained_once_and_no_other() -> None:
    explained = CELL.findall(_text("docs/troubleshooting.md"))
    assert sorted(explained) == sorted(reason.value for reason in Reason)


def test_every_metric_is_listed_once_and_no_other() -> None:
    families = [
        next(iter(metric.describe())) for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)
    ]
    exposed = [f"{family.name}_total" if family.type == "counter" else family.name for family in families]
    assert sorted(CELL.findall(_text("docs/metrics.md"))) == sorted(exposed)


def test_every_file_that_the_architecture_names_exists() -> None:
    text = _text("docs/architecture.md")
    named = set(re.findall(r"`((?:operator|images|charts|crds|tests|examples|docs)/[^`*\s]*)`", text))
    assert len(named) > 15
    assert sorted(path for path in named if not (checkout.ROOT / path).exists()) == []


def test_every_setting_is_listed_with_its_default_and_no_other() -> None:
    source = (checkout.SOURCE_ROOTS[0] / "settings.py").read_text(encoding="utf-8")
    read = dict(re.findall(r'reader\.read\(\s*"([A-Z_]+)",\s*default="([^"]*)"', source))
    rows = re.findall(r"^\| `([A-Z_]+)` \| `?([^`|]*?)`? \|", _text("docs/operations.md"), flags=re.MULTILINE)
    assert {name: "" if default == "empty" else default for name, default in rows} == read


def test_the_rights_that_the_security_page_tells_are_those_that_are_used() -> None:
    rows = dict(re.findall(r"^\| ([A-Z]\w+) \| ([a-z, ]+) \|", _text("docs/security.md"), flags=re.MULTILINE))
    used = {
        kind.kind: ", ".join(verbs)
        for kind, subresource, verbs in access.RULES
        if kind.group != names.GROUP and not subresource
    }
    assert used.items() <= rows.items()


def test_decisions_are_numbered_without_gaps() -> None:
    names = sorted(path.name for path in (checkout.ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(name.partition("-")[0]) for name in names] == list(range(1, len(names) + 1))
