"""`hf://ORG/NAME@COMMIT`: fetched into the workspace's cache; only what carries no code, only by commit."""

import os
import pathlib
import re
from collections.abc import Sequence

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process import guarded_files
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import model_files
from modelrefresh_jobs.storage.run_folders import RunFolders

_HUB = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[^/@]+)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
WANTED = (
    *("*.safetensors", *(f"*{suffix}" for suffix in sorted(model_files.COMPANIONS)), model_files.VERSIONED),
    *model_files.LICENCES,
    model_files.CARD,
)
"""What is fetched of a repository."""
_UNWANTED = ("consolidated*", "original/*", "onnx/*")
"""The same weights once more, in other layouts."""


def find(uri: str, folders: RunFolders, reason: StageReason) -> pathlib.Path:
    """The folder of the repository at that commit, in the workspace's cache.

    Raises:
        StageError: with `reason`, when the hub does not show it; SourceUnavailable, when it cannot be reached.
    """
    repo, revision = _parsed(uri, reason)
    home = _home(folders)
    complete = home / "complete" / f"{repo.replace('/', '--')}@{revision}"
    snapshot = _snapshot(uri, home=home, reason=reason, wanted=WANTED, local=complete.exists())
    # Without the marker a snapshot may be half a download; with it the network is not needed again.
    complete.parent.mkdir(parents=True, exist_ok=True)
    complete.touch()
    return snapshot


def find_config(uri: str, folders: RunFolders, reason: StageReason) -> pathlib.Path:
    """The same folder with at least its config.json; raises as `find` does."""
    _parsed(uri, reason)
    return _snapshot(uri, home=_home(folders), reason=reason, wanted=("config.json",), local=False)


def _parsed(uri: str, reason: StageReason) -> tuple[str, str]:
    """Repository and commit."""
    matched = _HUB.fullmatch(uri)
    if matched is None or not _COMMIT.fullmatch(matched["revision"]):
        seen = matched["revision"] if matched else "no revision"
        raise StageError(
            reason,
            f"{uri}: expected hf://ORG/NAME@COMMIT with the 40 hexadecimal digits of a commit, saw {seen!r}; "
            "branches and tags can move, take the commit from the repository's history",
        )
    return matched["repo"], matched["revision"]


def _home(folders: RunFolders) -> pathlib.Path:
    """The hub's cache, for everything that imports the hub from here on."""
    home = folders.workspace.hub_cache()
    os.environ.setdefault("HF_HOME", str(home))  # read, as HF_TOKEN_PATH is, when the hub is imported
    return home


def _snapshot(uri: str, *, home: pathlib.Path, reason: StageReason, wanted: Sequence[str], local: bool) -> pathlib.Path:
    import huggingface_hub
    from huggingface_hub import errors

    repo, revision = _parsed(uri, reason)
    try:
        folder = huggingface_hub.snapshot_download(
            repo,
            revision=revision,
            cache_dir=home / "hub",
            allow_patterns=list(wanted),
            ignore_patterns=list(_UNWANTED),
            local_files_only=local,
        )
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        hint = "check the name and commit, and the token in HF_TOKEN_PATH if the repository is gated or private"
        raise StageError(reason, f"{uri}: the hub does not show it to us ({type(error).__name__}); {hint}") from error
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        message = f"{uri}: the hub cannot be reached ({error}); it is tried again, or copy the model to a volume"
        raise StageError(StageReason.SOURCE_UNAVAILABLE, message, exit_code=ExitCode.TRANSIENT) from error
    snapshot = pathlib.Path(folder)
    if snapshot.exists():
        # Its files are links to the blobs beside it; other stages write this cache too.
        guarded_files.require_inside(snapshot, root=home, reason=reason, is_model=True)
    return snapshot
