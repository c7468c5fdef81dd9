"""What lies on the workspace is data of whoever could write there: names, manifests and bytes must agree."""

import json
import os
import pathlib
import shutil

import pytest

from modelrefresh.contract import artifacts, stage_request
from modelrefresh.contract.stages.sweep import SweepInput
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.attempt import make_folders, stage_module
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.stages import sweep
from modelrefresh_jobs.storage import run_folders, sealed
from tests.attacks.catalogue import attack

BY = "a pod with nothing but the workspace claim"


def version(root: pathlib.Path, text: str = "weights") -> pathlib.Path:
    """A sealed version."""
    with sealed.draft(root / "versions", kind="version", label="v") as made:
        (made.path / "model.safetensors").write_text(text)
        return root / "versions" / sealed.seal(made).digest


@attack(
    28,
    does="the bytes of one version under the digest of another (W2)",
    by=BY,
    ends="refused: the folder's name and content differ",
)
@pytest.mark.parametrize("deep", [False, True])
def test_a_version_under_another_digest_is_none(tmp_path: pathlib.Path, *, deep: bool) -> None:
    one, other = version(tmp_path, "good"), version(tmp_path, "evil")
    shutil.rmtree(one)
    shutil.copytree(other, one)
    with pytest.raises(sealed.BrokenSealError, match="must find that content"):
        sealed.verify(one, deep=deep)


@attack(
    28,
    does="a byte changed after the seal, size and time kept (W3)",
    by=BY,
    ends="refused by prepare's and evaluate's look at every byte",
)
def test_a_changed_byte_is_found_by_the_deep_look(tmp_path: pathlib.Path) -> None:
    folder = version(tmp_path)
    file = folder / "model.safetensors"
    before = file.stat()
    file.write_text("weightz")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(sealed.BrokenSealError, match="has changed since it was sealed"):
        sealed.verify(folder, deep=True)


_NAMES = ["../../runs/x", "/etc/passwd", "..", "a/../../b", ""]


@attack(28, does="a manifest that names files elsewhere (W5)", by=BY, ends="refused: outside of its folder")
@pytest.mark.parametrize("name", _NAMES)
def test_a_manifest_names_files_of_its_folder_only(tmp_path: pathlib.Path, name: str) -> None:
    folder = tmp_path / "version"
    folder.mkdir()
    files = (sealed.SealedFile(name=name, size=1, sha256="0" * 64),)
    manifest = {"kind": "version", "digest": sealed.digest(files), "parents": {}}
    listed = [{"name": one.name, "size": one.size, "sha256": one.sha256} for one in files]
    (folder / artifacts.MANIFEST).write_text(json.dumps(manifest | {"files": listed}))
    with pytest.raises(sealed.BrokenSealError, match="outside of its folder"):
        sealed.verify(folder, deep=False)


@attack(28, does="a file of a version that became a link to a secret", by=BY, ends="refused: it was a file")
def test_a_file_of_a_version_that_became_a_link_is_refused(tmp_path: pathlib.Path) -> None:
    folder = version(tmp_path)
    (tmp_path / "secret").write_text("weights")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(tmp_path / "secret")
    with pytest.raises(sealed.BrokenSealError, match="is a link"):
        sealed.verify(folder, deep=False)


def swept(root: pathlib.Path, **what: tuple[str, ...]) -> stage_request.StageRequest:
    """A sweep of these runs or versions."""
    return stage_request.StageRequest(
        stage=Stage.SWEEP, owner="chat", run="retention", workspace=str(root), section=SweepInput(**what)
    )


@attack(
    28,
    does="runs/OWNER as a link to versions, so that a sweep of a run removes a version (W8)",
    by=BY,
    ends="contained: left alone, with a log line",
)
def test_a_sweep_follows_no_link(tmp_path: pathlib.Path) -> None:
    kept = version(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "chat").symlink_to(tmp_path / "versions")
    asked = swept(tmp_path, runs=(kept.name,))
    assert sweep.run(asked.section, run_folders.of(asked), Progress(stage="sweep")).folders == 0
    assert sealed.is_sealed(kept)


@attack(28, does="a link inside a run that is swept", by=BY, ends="contained: the link goes, what it leads to stays")
def test_a_sweep_removes_links_and_not_what_they_lead_to(tmp_path: pathlib.Path) -> None:
    kept = version(tmp_path)
    scratch = tmp_path / "runs" / "chat" / "r1"
    scratch.mkdir(parents=True)
    (scratch / "way").symlink_to(kept)
    stage_module.run(swept(tmp_path, runs=("r1",)), Progress(stage="sweep"))
    assert (scratch.exists(), sealed.is_sealed(kept)) == (False, True)


@attack(
    28,
    does="runs/OWNER, RUN or STAGE as a link, so that a stage writes elsewhere",
    by=BY,
    ends="refused: InputInvalid, before the stage begins",
)
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_no_folder_is_made_through_a_link(tmp_path: pathlib.Path, depth: int) -> None:
    root, elsewhere = tmp_path / "workspace", tmp_path / "elsewhere"
    elsewhere.mkdir()
    parts = ("runs", "chat", "r1", "train")
    above = root.joinpath(*parts[: depth - 1])
    above.mkdir(parents=True)
    (above / parts[depth - 1]).symlink_to(elsewhere)
    with pytest.raises(StageError, match="a link or a file"):
        make_folders.make(root, "/".join(parts))
    assert list(elsewhere.iterdir()) == []


@attack(
    28, does="a folder named .. or / in what is to be made", by="nobody: names come from the operator", ends="refused"
)
@pytest.mark.parametrize("folder", ["../x", "runs/../../x", "/x"])
def test_no_folder_is_made_above_the_workspace(tmp_path: pathlib.Path, folder: str) -> None:
    (tmp_path / "workspace" / "runs").mkdir(parents=True)
    with pytest.raises(StageError, match="below the workspace"):
        make_folders.make(tmp_path / "workspace", folder)


@attack(
    28,
    does="a version that is a link, and links, pipes beside its files",
    by=BY,
    ends="refused by the look at every byte",
)
def test_what_is_not_in_the_manifest_is_found_whatever_it_is(tmp_path: pathlib.Path) -> None:
    folder = version(tmp_path)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(sealed.BrokenSealError, match="the folder is a link"):
        sealed.verify(folder, deep=True)
    folder.unlink()
    (tmp_path / "elsewhere").rename(folder)
    (folder / "templates").symlink_to(tmp_path)
    os.mkfifo(folder / "tokenizer.json")
    with pytest.raises(sealed.BrokenSealError, match=r"templates is not in the manifest|tokenizer\.json is not"):
        sealed.verify(folder, deep=True)
