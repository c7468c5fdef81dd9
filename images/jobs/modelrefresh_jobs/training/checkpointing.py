"""Sealing of a training run's checkpoints, and the choice of the one to resume from.

The Trainer writes `checkpoint-STEP` folders; sealing hashes and flushes every file and writes the manifest last,
in place and in a thread, while training goes on. Every byte is compared before a checkpoint is used; one that is
unfinished or damaged is passed over for the one before. Two are kept. Knows nothing of what a checkpoint contains.
"""

import contextlib
import logging
import os
import pathlib
import pickle
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from typing import Self

from modelrefresh.contract import artifacts
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import sealed
from modelrefresh_jobs.training import progress_file

LOG = logging.getLogger("modelrefresh.jobs")
_KEPT = 2
_PREFIX = "checkpoint-"


def unpickle_nothing() -> None:
    """Make torch.load read tensors and plain values only, and run no code of a checkpoint, whatever its caller asks.

    DeepSpeed asks for the contrary; the environment variable TORCH_FORCE_WEIGHTS_ONLY_LOAD overrules it.
    """
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"


def allow_states_of_deepspeed() -> None:
    """Let torch.load make the four classes that DeepSpeed's checkpoints hold beside tensors; none runs code."""
    import torch
    from deepspeed.runtime.fp16 import loss_scaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    classes = [loss_scaler.LossScaler, loss_scaler.DynamicLossScaler, ZeroStageEnum, fragment_address]
    torch.serialization.add_safe_globals(classes)


@contextlib.contextmanager
def resuming(found: pathlib.Path | None) -> Iterator[None]:
    """Remove the checkpoint if it holds what torch refuses to load, so that the next attempt takes the one before.

    Raises:
        StageError: ModelUnreadable, when it does; exit code TRANSIENT, so the stage is tried again.
    """
    try:
        yield
    except pickle.UnpicklingError as error:
        if found is None:
            raise
        shutil.rmtree(found, ignore_errors=True)
        message = f"checkpoint at step {step(found)} holds objects that no training of ours writes, and was removed"
        hint = "the next attempt goes on from the one before; look who else writes to the workspace"
        raise StageError(StageReason.MODEL_UNREADABLE, f"{message}; {hint}", exit_code=ExitCode.TRANSIENT) from error


def newest(folder: pathlib.Path, *, parents: Mapping[str, str], warn: Callable[[str], None]) -> pathlib.Path | None:
    """The newest whole checkpoint made from `parents`, or None; `warn` is told of newer ones that are damaged."""
    for path in reversed(_all(folder)):
        if not (path / artifacts.MANIFEST).exists():
            LOG.info("train: checkpoint at step %d was not finished and is passed over", step(path))
            continue
        try:
            manifest = sealed.verify(path, deep=True)
        except sealed.BrokenSealError as error:
            warn(f"checkpoint at step {step(path)} cannot be used, trying the one before: {error}")
            continue
        if progress_file.fits(manifest.parents, parents):
            return path
        others = " and ".join(name for name in parents if manifest.parents.get(name) != parents[name])
        LOG.warning("train: checkpoint at step %d was made from other %s and is passed over", step(path), others)
    return None


def seal(folder: pathlib.Path, *, at: int, parents: Mapping[str, str]) -> None:
    """Seal the checkpoint of step `at` and remove all but the newest two."""
    path = folder / f"{_PREFIX}{at}"
    sealed.seal(sealed.Draft(path=path, kind="checkpoint", parents=parents), target=path)
    for old in _all(folder)[:-_KEPT]:
        shutil.rmtree(old)


class Sealer:
    """Seals one checkpoint at a time behind the back of training, which loses no time to hashes and flushes.

    A process that dies meanwhile leaves the checkpoint unfinished and the one before in place. The end of the block
    waits for the last seal, but not after TrainingDiverged: of such a run nothing is kept, and its GPUs are free.
    """

    def __init__(self, folder: pathlib.Path, *, parents: Mapping[str, str]) -> None:
        self._folder, self._parents = folder, parents
        self._pending: futures.Future[None] | None = None

    def __enter__(self) -> Self:
        """Checkpoints are sealed within the block."""
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Wait for the last seal; raises what went wrong with it if nothing else did."""
        if isinstance(error, StageError) and error.reason is StageReason.TRAINING_DIVERGED:
            return
        with contextlib.suppress(Exception) if error else contextlib.nullcontext():
            self._finish()

    def begin(self, *, at: int) -> None:
        """Seal the checkpoint of step `at`, once the one before is sealed; raises what went wrong with that one."""
        self._finish()
        self._pending = futures.Future()
        # A pool's threads would be waited for at the end of the process.
        threading.Thread(target=self._seal, args=(self._pending, at), daemon=True, name="seal").start()

    def _seal(self, pending: "futures.Future[None]", at: int) -> None:
        try:
            seal(self._folder, at=at, parents=self._parents)
            pending.set_result(None)
        except BaseException as error:  # noqa: BLE001 -- raised where it is waited for
            pending.set_exception(error)

    def _finish(self) -> None:
        pending, self._pending = self._pending, None
        if pending:
            pending.result()


def discard_after(folder: pathlib.Path, *, at: int) -> None:
    """Remove checkpoints of later steps than `at`, the one resumed from: they are damaged or of another run."""
    for path in _all(folder):
        if step(path) > at:
            shutil.rmtree(path)


def step(path: pathlib.Path) -> int:
    """Training step of a checkpoint folder."""
    return int(path.name.removeprefix(_PREFIX))


def _all(folder: pathlib.Path) -> list[pathlib.Path]:
    found = (path for path in folder.glob(f"{_PREFIX}*") if path.name.removeprefix(_PREFIX).isdecimal())
    return sorted(found, key=step)
