"""The files for Argo CD fit the numbered examples, and nothing in them takes what the operator sets."""

from typing import Any

import pytest
import yaml

from examples.demo import manifests
from modelrefresh.api import model, names, spec

FOLDER = manifests.FOLDER / "argocd"


def files(*folder: str) -> dict[str, dict[str, Any]]:
    """Every object of a folder of examples, by kind and name."""
    found = [
        item
        for path in sorted(manifests.FOLDER.joinpath(*folder).glob("*.yaml"))
        for item in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]
    return {f"{item['kind']} {item['metadata']['name']} {path_of(item)}": item for item in found}


def path_of(item: dict[str, Any]) -> str:
    """The namespace, where there is one."""
    return str(item["metadata"].get("namespace", ""))


def test_the_team_s_files_say_what_the_numbered_examples_say() -> None:
    for name, number in (("serving", "02-serving"), ("residual", "03-residual"), ("refresh", "04-refresh")):
        team = list(yaml.safe_load_all((FOLDER / "team" / f"{name}.yaml").read_text()))
        numbered = list(yaml.safe_load_all((manifests.FOLDER / f"{number}.yaml").read_text()))
        assert [item["spec"] for item in team] == [item["spec"] for item in numbered]
        assert [path_of(item) for item in team] == [path_of(item) for item in numbered]


def test_what_holds_lineage_is_deleted_only_after_a_person_was_asked() -> None:
    for item in files("argocd", "team").values():
        asks = item["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-options")
        owns = item["kind"] in (names.REFRESH, names.RESIDUAL)
        assert asks == ("Prune=confirm,Delete=confirm" if owns else None)


def test_the_refresh_comes_in_the_last_wave() -> None:
    waves = {
        item["kind"]: int(item["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave", 0))
        for item in files("argocd", "team").values()
    }
    assert max(waves, key=waves.__getitem__) == names.REFRESH


def test_nothing_in_git_takes_what_the_operator_sets() -> None:
    for item in files("argocd", "team").values():
        assert "MODELREFRESH_MODEL" not in [
            entry["name"]
            for container in item["spec"].get("template", {}).get("spec", {}).get("containers", [])
            for entry in container.get("env", [])
        ]
        assert not {"suspend"} & item["spec"].keys()
        assert not {names.ANNOTATION_APPROVE, names.ANNOTATION_REFRESH} & item["metadata"].get("annotations", {}).keys()


@pytest.mark.parametrize("name", ["operator.yaml", "team.yaml"])
def test_no_application_replaces_objects_and_each_names_only_placeholders(name: str) -> None:
    application = yaml.safe_load((FOLDER / name).read_text())
    options = application["spec"]["syncPolicy"]["syncOptions"]
    assert not {"Replace=true", "Force=true"} & set(options)
    sources = application["spec"].get("sources") or [application["spec"]["source"]]
    assert {(source["repoURL"], source["targetRevision"]) for source in sources} == {("REPOSITORY", "REVISION")}
    assert all(
        (manifests.FOLDER.parent / source["path"]).exists() for source in sources if source["path"] != "PROFILES"
    )


def test_the_team_s_specs_are_accepted() -> None:
    found = files("argocd", "team").values()
    parsed = [model.parse(spec.RefreshSpec, item["spec"]) for item in found if item["kind"] == names.REFRESH]
    residuals = [model.parse(spec.ResidualSpec, item["spec"]) for item in found if item["kind"] == names.RESIDUAL]
    assert (len(parsed), len(residuals)) == (1, 1)
