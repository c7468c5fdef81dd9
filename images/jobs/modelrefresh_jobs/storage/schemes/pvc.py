"""`pvc://CLAIM/PATH`: below the read-only mount of a claim, and in it below what the profile allows."""

import pathlib

from modelrefresh.contract import artifacts, uris
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process import guarded_files
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import existing
from modelrefresh_jobs.storage.run_folders import RunFolders


def find(uri: str, folders: RunFolders, reason: StageReason) -> pathlib.Path:
    """The path below the mount.

    Raises:
        StageError: with `reason`, when it leads out of the allowed source or nothing usable is there.
    """
    rest = uri.removeprefix(uris.CLAIM.prefix)
    claim, _, path = rest.partition("/")
    if claim in ("", ".") or ".." in pathlib.PurePosixPath(rest).parts:
        raise StageError(reason, f"{uri}: expected {uris.CLAIM.example} without '..'")
    mount = pathlib.Path(artifacts.claim_path(str(folders.sources), claim, ""))
    root = _allowed_root(uri, mount, folders, reason)
    found = mount / path
    # Asked before whether anything is there, so that no answer tells of what lies outside. A prefix that is a link
    # itself would open whatever it leads to.
    if not (guarded_files.is_reached(root, mount) and guarded_files.inside(found, root)):
        raise StageError(reason, f"{uri}: a link leads out of {_allowed_words(uri, folders)}; copy the files instead")
    existing.require(uri, found, reason, root=root)
    guarded_files.require_inside(found, root=root, reason=reason, is_model=existing.is_folder(reason))
    guarded_files.admit(root)
    return found


def _allowed_root(uri: str, mount: pathlib.Path, folders: RunFolders, reason: StageReason) -> pathlib.Path:
    """The claim, or the part of it that the profile allows."""
    if not folders.allowed:
        return mount
    prefix = uris.widest(folders.allowed, uri)
    if prefix is None:
        raise StageError(reason, f"{uri}: not among the allowed sources of the profile")
    return mount / prefix.removeprefix(uris.CLAIM.prefix).partition("/")[2]


def _allowed_words(uri: str, folders: RunFolders) -> str:
    prefix = uris.widest(folders.allowed, uri)
    return f"the allowed source {prefix}" if prefix and prefix != uris.CLAIM.prefix else "the claim"
