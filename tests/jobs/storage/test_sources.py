"""URIs become paths, or a message that says what is there instead."""

import pathlib

import pytest

from modelrefresh.contract import stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.stages.extract import ExtractInput
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import run_folders, sources

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def request(root: pathlib.Path) -> stage_request.StageRequest:
    return stage_request.StageRequest(
        stage=Stage.EXTRACT,
        owner="pair",
        run="r1",
        workspace=str(root / "workspace"),
        sources=str(root / "sources"),
        section=ExtractInput(base="pvc://models/a", instruct="pvc://models/b"),
    )


def test_a_claims_path_is_found_below_its_mount(tmp_path: pathlib.Path) -> None:
    model = tmp_path / "sources" / "models" / "llama" / "base"
    model.mkdir(parents=True)
    assert sources.resolve("pvc://models/llama/base/", run_folders.of(request(tmp_path))) == model


def test_a_missing_path_is_answered_with_what_is_there(tmp_path: pathlib.Path) -> None:
    (tmp_path / "sources" / "models" / "llama").mkdir(parents=True)
    (tmp_path / "sources" / "models" / "notes.txt").touch()
    with pytest.raises(StageError, match=r"models holds: llama/, notes.txt") as caught:
        sources.resolve("pvc://models/lama", run_folders.of(request(tmp_path)), reason="DataUnreadable")
    assert (caught.value.reason, caught.value.exit_code) == ("DataUnreadable", ExitCode.BAD_INPUT)


@pytest.mark.parametrize(
    "uri", ["pvc://models/../other/secret", "pvc://../secret", "pvc:///etc", "pvc://./other", "pvc://models/a/../.."]
)
def test_a_path_that_climbs_is_refused(tmp_path: pathlib.Path, uri: str) -> None:
    (tmp_path / "sources" / "other" / "secret").mkdir(parents=True)
    (tmp_path / "sources" / "models" / "a").mkdir(parents=True)
    with pytest.raises(StageError, match=r"without '\.\.'"):
        sources.resolve(uri, run_folders.of(request(tmp_path)))


def test_a_link_out_of_the_claim_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "sources" / "other" / "secret").mkdir(parents=True)
    (tmp_path / "sources" / "models").mkdir()
    (tmp_path / "sources" / "models" / "link").symlink_to(tmp_path / "sources" / "other")
    with pytest.raises(StageError, match="leads out of the claim"):
        sources.resolve("pvc://models/link/secret", run_folders.of(request(tmp_path)))


def test_a_link_within_the_claim_is_fine(tmp_path: pathlib.Path) -> None:
    (tmp_path / "sources" / "models" / "v1").mkdir(parents=True)
    (tmp_path / "sources" / "models" / "latest").symlink_to("v1")
    assert sources.resolve("pvc://models/latest", run_folders.of(request(tmp_path))).resolve().name == "v1"


@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT[:39], COMMIT.upper()])
def test_a_revision_that_can_move_is_refused(tmp_path: pathlib.Path, revision: str) -> None:
    with pytest.raises(StageError, match="40 hexadecimal digits"):
        sources.resolve(f"hf://org/name@{revision}", run_folders.of(request(tmp_path)))


@pytest.mark.parametrize(("uri", "said"), [("s3://bucket/model", "pvc://CLAIM/PATH"), ("models/llama", "not a URI")])
def test_other_places_are_refused_with_a_way_out(tmp_path: pathlib.Path, uri: str, said: str) -> None:
    with pytest.raises(StageError, match=said):
        sources.resolve(uri, run_folders.of(request(tmp_path)))


def test_a_finished_download_needs_no_network_again(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def snapshot_download(_repo: str, *, local_files_only: bool, cache_dir: pathlib.Path, **_: object) -> str:
        asked.append(local_files_only)
        return str(cache_dir / "snapshot")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    for _ in range(2):
        found = sources.resolve(f"hf://org/name@{COMMIT}", run_folders.of(request(tmp_path)))
    assert asked == [False, True]
    assert found.is_relative_to(tmp_path / "workspace" / "cache" / "huggingface")


def test_where_no_weights_are_needed_only_the_configuration_is_fetched_and_the_rest_later(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[bool, bool]] = []

    def snapshot_download(
        _repo: str, *, local_files_only: bool, cache_dir: pathlib.Path, allow_patterns: list[str], **_: object
    ) -> str:
        asked.append((local_files_only, allow_patterns == ["config.json"]))
        return str(cache_dir / "snapshot")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    for weights in (False, True):
        sources.resolve(f"hf://org/name@{COMMIT}", run_folders.of(request(tmp_path)), weights=weights)
    assert asked == [(False, True), (False, False)]


def test_an_unreachable_hub_is_worth_another_try(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(*_: object, **__: object) -> str:
        raise ConnectionError("no route to host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(StageError, match="cannot be reached") as caught:
        sources.resolve(f"hf://org/name@{COMMIT}", run_folders.of(request(tmp_path)))
    assert (caught.value.reason, caught.value.exit_code) == ("SourceUnavailable", ExitCode.TRANSIENT)


def test_a_file_in_the_place_of_a_model_is_told_from_its_folder(tmp_path: pathlib.Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(StageError, match=r"config\.json is a file; expected the folder"):
        sources.resolve(f"file://{tmp_path}/config.json", run_folders.of(request(tmp_path)))


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_name_that_no_path_can_have_is_refused(tmp_path: pathlib.Path, name: str) -> None:
    with pytest.raises(StageError, match=r"no file system|does not exist"):
        sources.resolve(f"file://{tmp_path}/{name}", run_folders.of(request(tmp_path)))
