"""From a URI to a local path.

`pvc://CLAIM/PATH` lies under the read-only mounts, `hf://ORG/NAME@COMMIT` is fetched into the
workspace's cache, `file:///PATH` is for people at a shell. Refuses paths that leave their
claim, revisions that can move, and formats that can carry code. Does not look inside files.
"""

import errno
import logging
import os
import pathlib
import re
from collections.abc import Callable

from modelrefresh.contract import allowed, artifacts, stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process import guarded_files
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import model_files

LOG = logging.getLogger("modelrefresh.jobs")

_MODEL = StageReason.MODEL_UNREADABLE
_FOLDERS = frozenset({_MODEL, StageReason.RESIDUAL_INCOMPATIBLE})
"""What is read under these reasons is always a folder."""
_HUB = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[^/@]+)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
WANTED = (
    *("*.safetensors", *(f"*{suffix}" for suffix in sorted(model_files.MANNERS)), model_files.VERSIONED),
    *model_files.LICENCES,
)
"""What is fetched of a repository."""
_UNWANTED = ("consolidated*", "original/*", "onnx/*")
"""The same weights once more, in other layouts."""
_LISTED = 10


def resolve(uri: str, request: stage_request.StageInput, *, reason: StageReason = _MODEL) -> pathlib.Path:
    """The local path behind a URI; that of a model is a folder.

    Raises:
        StageError: with `reason` when nothing usable is there; the message lists what is.
    """
    found = _found(uri, request, reason)
    if reason in _FOLDERS and found.is_file():
        raise StageError(reason, f"{uri}: {found} is a file; expected the folder that holds it")
    return found


def _found(uri: str, request: stage_request.StageInput, reason: StageReason) -> pathlib.Path:
    scheme, separator, rest = uri.partition("://")
    if not separator:
        raise StageError(reason, f"{uri}: not a URI; expected pvc://CLAIM/PATH, hf://ORG/NAME@COMMIT or file:///PATH")
    if scheme == "pvc":
        return _below_claim(uri, rest, request, reason)
    if scheme == "file":
        found = _existing(uri, pathlib.Path(rest), reason, root=pathlib.Path("/"))
        guarded_files.admit(found)  # whoever gives such a URI reads what they name; the API refuses it
        return found
    if scheme == "hf":
        return _from_hub(uri, request, reason)
    hint = "copy the bucket to a volume and name it as pvc://CLAIM/PATH" if scheme == "s3" else "use pvc, hf or file"
    raise StageError(reason, f"{uri}: {scheme}:// sources are not supported; {hint}")


def stored(
    name: str, request: stage_request.StageInput, *, below: Callable[[str], pathlib.Path], reason: StageReason
) -> pathlib.Path:
    """A folder of the workspace by its digest; by hand any folder, as a URI, which `env.parse` refuses in a pod."""
    return resolve(name, request, reason=reason) if "://" in name else below(name)


def _below_claim(uri: str, rest: str, request: stage_request.StageInput, reason: StageReason) -> pathlib.Path:
    claim, _, path = rest.partition("/")
    if claim in ("", ".") or ".." in pathlib.PurePosixPath(rest).parts:
        raise StageError(reason, f"{uri}: expected pvc://CLAIM/PATH without '..'")
    mount = pathlib.Path(artifacts.claim_path(request.sources, claim, ""))
    root = _allowed_root(uri, mount, request, reason)
    found = mount / path
    # Asked before whether anything is there, so that no answer tells of what lies outside. A prefix that is a link
    # itself would open whatever it leads to.
    if not (guarded_files.is_reached(root, mount) and guarded_files.inside(found, root)):
        raise StageError(reason, f"{uri}: a link leads out of {_allowed_words(uri, request)}; copy the files instead")
    _existing(uri, found, reason, root=root)
    guarded_files.survey(found, root=root, reason=reason, is_model=reason in _FOLDERS)
    guarded_files.admit(root)
    return found


def _allowed_root(
    uri: str, mount: pathlib.Path, request: stage_request.StageInput, reason: StageReason
) -> pathlib.Path:
    """The claim, or the part of it that the profile allows."""
    if not request.allowed:
        return mount
    prefix = allowed.widest(request.allowed, uri)
    if prefix is None:
        raise StageError(reason, f"{uri}: not among the allowed sources of the profile")
    return mount / prefix.removeprefix("pvc://").partition("/")[2]


def _allowed_words(uri: str, request: stage_request.StageInput) -> str:
    prefix = allowed.widest(request.allowed, uri)
    return f"the allowed source {prefix}" if prefix and prefix != "pvc://" else "the claim"


def _existing(uri: str, path: pathlib.Path, reason: StageReason, *, root: pathlib.Path) -> pathlib.Path:
    try:
        if path.exists():
            return path
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise StageError(reason, f"{uri:.80}...: {error.strerror}; no file system holds such a name") from error
    raise StageError(reason, f"{uri}: {path} does not exist{_nearby(path, root)}")


def _nearby(path: pathlib.Path, root: pathlib.Path) -> str:
    """What lies in the nearest folder that is there, if that is one which may be read."""
    nearest = next((parent for parent in path.parents if parent.is_dir()), pathlib.Path("/"))
    if not guarded_files.inside(nearest, root):
        return ""
    names = sorted(entry.name + "/" * entry.is_dir() for entry in nearest.iterdir())
    shown = ", ".join(names[:_LISTED]) or "nothing"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"; {nearest} holds: {shown}{more}"


def _from_hub(uri: str, request: stage_request.StageInput, reason: StageReason) -> pathlib.Path:
    matched = _HUB.fullmatch(uri)
    if matched is None or not _COMMIT.fullmatch(matched["revision"]):
        seen = matched["revision"] if matched else "no revision"
        raise StageError(
            reason,
            f"{uri}: expected hf://ORG/NAME@COMMIT with the 40 hexadecimal digits of a commit, saw {seen!r}; "
            "branches and tags can move, take the commit from the repository's history",
        )
    home = artifacts.Workspace(root=pathlib.Path(request.workspace)).hub_cache()
    # The hub reads HF_TOKEN_PATH and HF_HOME when it is imported; only this function imports it.
    os.environ.setdefault("HF_HOME", str(home))
    return _snapshot(uri, matched["repo"], matched["revision"], home=home, reason=reason)


def _snapshot(uri: str, repo: str, revision: str, *, home: pathlib.Path, reason: StageReason) -> pathlib.Path:
    import huggingface_hub
    from huggingface_hub import errors

    complete = home / "complete" / f"{repo.replace('/', '--')}@{revision}"
    try:
        folder = huggingface_hub.snapshot_download(
            repo,
            revision=revision,
            cache_dir=home / "hub",
            allow_patterns=list(WANTED),
            ignore_patterns=list(_UNWANTED),
            local_files_only=complete.exists(),
        )
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        hint = "check the name and commit, and the token in HF_TOKEN_PATH if the repository is gated or private"
        raise StageError(reason, f"{uri}: the hub does not show it to us ({type(error).__name__}); {hint}") from error
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        message = f"{uri}: the hub cannot be reached ({error}); it is tried again, or copy the model to a volume"
        raise StageError(StageReason.SOURCE_UNAVAILABLE, message, exit_code=ExitCode.TRANSIENT) from error
    # Without the marker a snapshot may be half a download; with it the network is not needed again.
    complete.parent.mkdir(parents=True, exist_ok=True)
    complete.touch()
    snapshot = pathlib.Path(folder)
    if snapshot.exists():
        # Its files are links to the blobs beside it; other stages write this cache too.
        guarded_files.survey(snapshot, root=home, reason=reason, is_model=True)
    return snapshot
