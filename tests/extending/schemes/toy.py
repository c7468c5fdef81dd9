"""`toy://NAME`: a toy scheme in one file; a folder of the workspace's cache."""

import pathlib

from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh_jobs.storage import existing


def find(uri: str, request: StageRequest, reason: StageReason) -> pathlib.Path:
    """The folder of that name."""
    root = pathlib.Path(request.workspace) / "toys"
    return existing.require(uri, root / uri.removeprefix("toy://"), reason, root=root)
