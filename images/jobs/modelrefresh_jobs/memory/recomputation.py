"""What the attempts of a run teach about keeping activations, beside the arithmetic of `ways`.

A file of one word in train's scratch: "kept" by a run that began so, "short" once memory did not suffice for it. A run
that was begun by a release that wrote no such file recomputed, and does so on. Knows nothing of sizes.
"""

import contextlib
from collections.abc import Iterator

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage.run_folders import RunFolders

_KEPT, _SHORT = "kept", "short"


def is_forced(folders: RunFolders) -> bool:
    """Whether activations are recomputed whatever the arithmetic says; alike in all processes of an attempt."""
    if folders.activations.exists():
        return folders.activations.read_text() != _KEPT
    return any(folders.checkpoints.glob("checkpoint-*"))


@contextlib.contextmanager
def learning(folders: RunFolders, *, kept: bool) -> Iterator[None]:
    """Around the training; `kept` says that it keeps activations because there seemed to be room.

    Raises:
        StageError: OutOfMemory, exit code TRANSIENT, when there was none: the next attempt recomputes.
    """
    import torch

    if not kept:
        yield
        return
    folders.activations.write_text(_KEPT)
    try:
        yield
    except torch.OutOfMemoryError as error:
        folders.activations.write_text(_SHORT)
        message = f"memory did not suffice for keeping activations; the next attempt computes them again ({error})"
        raise StageError(StageReason.OUT_OF_MEMORY, message, exit_code=ExitCode.TRANSIENT) from error
