"""From a URI to a local path, by the file of its scheme in `schemes/`. Does not look inside files."""

import importlib
import pathlib
import pkgutil
from collections.abc import Callable
from typing import Protocol, cast

from modelrefresh.contract import uris
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import existing, schemes
from modelrefresh_jobs.storage.run_folders import RunFolders

_EXAMPLES = (*(scheme.example for scheme in uris.SCHEMES), "file:///PATH")


class SchemeModule(Protocol):
    """What a scheme's module offers."""

    def find(self, uri: str, folders: RunFolders, reason: StageReason) -> pathlib.Path:
        """The local path behind a URI; a StageError with `reason` where nothing usable is there."""


def resolve(
    uri: str, folders: RunFolders, *, reason: StageReason = StageReason.MODEL_UNREADABLE, weights: bool = True
) -> pathlib.Path:
    """The local path behind a URI; that of a model is a folder, of which without `weights` config.json is enough.

    Raises:
        StageError: with `reason` when nothing usable is there; the message lists what is.
    """
    scheme, separator, _ = uri.partition("://")
    known = [module.name for module in pkgutil.iter_modules(schemes.__path__)]
    if not separator:
        raise StageError(reason, f"{uri}: not a URI; expected {', '.join(_EXAMPLES[:-1])} or {_EXAMPLES[-1]}")
    if scheme not in known:
        hint = (
            "copy the bucket to a volume and name it as pvc://CLAIM/PATH"
            if scheme == "s3"
            else f"use {', '.join(known[:-1])} or {known[-1]}"
        )
        raise StageError(reason, f"{uri}: {scheme}:// sources are not supported; {hint}")
    module = cast("SchemeModule", importlib.import_module(f"{schemes.__name__}.{scheme}"))
    find = module.find if weights else getattr(module, "find_config", module.find)
    found = cast("pathlib.Path", find(uri, folders, reason))
    if existing.is_folder(reason) and found.is_file():
        raise StageError(reason, f"{uri}: {found} is a file; expected the folder that holds it")
    return found


def stored(
    name: str, folders: RunFolders, *, below: Callable[[str], pathlib.Path], reason: StageReason
) -> pathlib.Path:
    """A folder of the workspace by its digest; by hand any folder, as a URI, which a pod's request cannot hold."""
    return resolve(name, folders, reason=reason) if "://" in name else below(name)
