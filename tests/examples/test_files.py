"""The numbered example files fit the models behind the CRDs, and each other."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.demo import manifests
from modelrefresh.api import model, profile, spec

KINDS = {
    "ModelRefresh": spec.RefreshSpec,
    "InstructionResidual": spec.ResidualSpec,
    "RefreshProfile": profile.ProfileSpec,
}
FILES = sorted(path.name for path in manifests.FOLDER.glob("[0-9][0-9]-*.yaml"))


def objects(name: str) -> list[dict[str, Any]]:
    """The objects of one file of `examples/`."""
    return list(yaml.safe_load_all((manifests.FOLDER / name).read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", FILES)
def test_every_spec_of_our_kinds_is_accepted(name: str) -> None:
    parsed = [model.parse(KINDS[item["kind"]], item["spec"]) for item in objects(name) if item["kind"] in KINDS]
    others = [item["kind"] for item in objects(name) if item["kind"] not in KINDS]
    assert len(parsed) + len(others) == len(objects(name))


def test_the_files_are_numbered_without_a_gap() -> None:
    assert [int(name[:2]) for name in FILES] == list(range(1, len(FILES) + 1))


def test_the_poisoned_refresh_differs_in_its_documents_alone() -> None:
    good, bad = objects("04-refresh.yaml")[0], objects("05-poisoned.yaml")[0]
    assert good["spec"]["data"].pop("uri") != bad["spec"]["data"].pop("uri")
    assert good == bad


def test_the_refresh_trains_the_base_that_the_residual_was_cut_from() -> None:
    residual, refresh = objects("03-residual.yaml")[0], objects("04-refresh.yaml")[0]
    assert refresh["spec"]["base"] == residual["spec"]["base"]
    assert refresh["spec"]["residualRef"]["name"] == residual["metadata"]["name"]


def test_the_target_of_the_refresh_is_the_example_deployment_and_leaves_the_operators_entry_out() -> None:
    deployment = objects("02-serving.yaml")[0]
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    target = objects("04-refresh.yaml")[0]["spec"]["rollout"]["deployment"]
    assert target == {"name": deployment["metadata"]["name"], "container": container["name"]}
    assert "MODELREFRESH_MODEL" not in {entry["name"] for entry in container["env"]}
    assert "${MODELREFRESH_MODEL:-" in container["args"][0]


def test_applied_files_name_the_built_image_and_ask_for_gpus_only_where_there_are_any() -> None:
    image = "registry.test/jobs@sha256:" + 64 * "a"
    filler = manifests.Filler(image=image, gpus=False)
    profile, refresh = filler.text("01-profile.yaml"), filler.text("04-refresh.yaml")
    assert yaml.safe_load(profile)["spec"]["image"] == image
    assert yaml.safe_load(refresh)["spec"]["training"]["gpusPerNode"] == 0


def test_the_seed_job_and_the_server_run_the_same_image() -> None:
    texts = [
        Path(manifests.FOLDER / name).read_text(encoding="utf-8") for name in ("02-serving.yaml", "demo/seed.yaml")
    ]
    assert all(manifests.UNBUILT in text for text in texts)
