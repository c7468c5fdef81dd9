"""Start of several training processes on this node, which may be one of several nodes.

Starts `torch.distributed.run` and waits. The processes are asked to leave through a file, not a signal, because
torchrun kills its processes half a minute after a signal and a checkpoint may take longer. Each process leaves
its result as a file; the most severe failure is reported as the cause. Knows nothing of what the processes do.
"""

import logging
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from modelrefresh.contract import exit_codes, result, stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.train import TrainInput, TrainSummary
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.process import errors, signals
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage.run_folders import RunFolders
from modelrefresh_jobs.training import progress_file

LOG = logging.getLogger("modelrefresh.jobs")
EXCHANGE_VARIABLE = "MODELREFRESH_TORCHRUN_EXCHANGE"
"""Variable that names the node-local folder through which this process and those it starts exchange files."""
STOP = "stop"
"""File in that folder: processes leave after their step."""
STARTED = "started"
"""Suffix of the file by which a process says that it began."""
_TOO_EARLY = "asked to leave before the first step; nothing of this attempt is kept, checkpoints of earlier ones are"
_PORT = 29500
_POLL_SECONDS = 0.5
_END_SECONDS = 45
"""Time for torchrun to end, which gives its processes 30 seconds after a signal."""


def needed(wanted: TrainInput) -> bool:
    """Whether torchrun is needed: for several processes, or for ZeRO on a GPU."""
    if wanted.nodes * wanted.processes_per_node > 1 or not wanted.zero_stage:
        return wanted.nodes * wanted.processes_per_node > 1
    import torch

    if not torch.cuda.is_available():
        LOG.info("train: ZeRO stage %d is left out, one process on a CPU has nothing to partition", wanted.zero_stage)
    return torch.cuda.is_available()


def train(wanted: TrainInput, folders: RunFolders, progress: Progress) -> TrainSummary:
    """Run all processes of this node to their end.

    Raises:
        StageError: of the reason that the most severe failure of a process has.
        StageError: InputInvalid, when the variables of an Indexed Job with several nodes are missing.
        StageError: OutOfMemory, when a process was killed without leaving a result.
        Preempted: when asked to leave before the first step, on a single node.
        RuntimeError: when torchrun ended before any process began.
    """
    with tempfile.TemporaryDirectory(prefix="modelrefresh-train-") as folder:
        exchange = pathlib.Path(folder)
        variables = os.environ | {
            stage_request.INPUT_VARIABLE: stage_request.render(_request(wanted, folders)),
            EXCHANGE_VARIABLE: folder,
        }
        process = subprocess.Popen(_command(wanted), env=variables, start_new_session=True)  # noqa: S603 -- our own
        try:
            code = _wait(process, exchange, folders, progress, alone=wanted.nodes == 1)
        finally:
            _end(process)
        return _outcome(exchange, code, progress, nodes=wanted.nodes)


def _request(wanted: TrainInput, folders: RunFolders) -> stage_request.StageRequest:
    """What each process is asked: the stage's own request."""
    return stage_request.StageRequest(
        stage=Stage.TRAIN,
        owner=folders.owner,
        run=folders.run,
        attempt=folders.attempt,
        workspace=str(folders.workspace.root),
        sources=str(folders.sources),
        allowed=folders.allowed,
        section=wanted,
    )


def _command(wanted: TrainInput) -> list[str]:
    where = ["--standalone"]
    if wanted.nodes > 1:
        rank = os.environ.get("JOB_COMPLETION_INDEX")
        address = os.environ.get(stage_request.MASTER_VARIABLE)
        if rank is None or address is None:
            raise errors.StageError(
                StageReason.INPUT_INVALID,
                f"{wanted.nodes} nodes were asked for, but JOB_COMPLETION_INDEX is {rank} and "
                f"{stage_request.MASTER_VARIABLE} is {address}; both are set in the pods of an Indexed Job",
            )
        where = [
            f"--nnodes={wanted.nodes}",
            f"--node-rank={rank}",
            f"--master-addr={address}",
            f"--master-port={_PORT}",
        ]
    launcher = [sys.executable, "-m", "torch.distributed.run", *where, f"--nproc-per-node={wanted.processes_per_node}"]
    return [*launcher, "-m", "modelrefresh_jobs.training.process"]


def _wait(
    process: "subprocess.Popen[bytes]", exchange: pathlib.Path, folders: RunFolders, progress: Progress, *, alone: bool
) -> int:
    position = folders.position
    first = before = progress_file.read(position)
    while True:
        code = process.poll()
        seen = progress_file.read(position)
        if seen and seen != before:
            progress.report(seen.done, seen.total, unit="steps", **seen.figures)
            before = seen
        if code is not None:
            return code
        if signals.requested():
            if alone and seen == first:
                raise signals.Preempted(_TOO_EARLY)
            (exchange / STOP).touch()
        time.sleep(_POLL_SECONDS)


def _end(process: "subprocess.Popen[bytes]") -> None:
    # torchrun's processes lead sessions of their own; only torchrun itself can end them.
    process.terminate()
    try:
        process.wait(timeout=_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _outcome(exchange: pathlib.Path, code: int, progress: Progress, *, nodes: int) -> TrainSummary:
    ended = {file.stem: result.parse(file.read_text()) for file in sorted(exchange.glob("*.json"))}
    failed = [one for one in ended.values() if one.exit_code is not ExitCode.OK]
    worst = min(failed, key=lambda one: exit_codes.severity(one.exit_code), default=None)
    began = {file.stem for file in exchange.glob(f"*.{STARTED}")}
    # On a single node all processes are seen: a lost peer that left no result was killed.
    killed = nodes == 1 and worst is not None and worst.exit_code is ExitCode.PEER_LOST and began - set(ended)
    if worst and not killed:
        raise errors.StageError(StageReason(worst.reason), worst.message, exit_code=worst.exit_code)
    first = next((one for one in ended.values() if one.summary), None)
    if code == 0 and first and isinstance(first.summary, TrainSummary):
        for text in first.warnings:
            progress.warn(text)
        return first.summary
    if not began:
        raise RuntimeError(f"torchrun ended with {code} before any training process began; see the log above")
    raise errors.StageError(
        StageReason.OUT_OF_MEMORY,
        f"a training process was killed without a word (torchrun ended with {code}), which is how the kernel answers "
        "when memory runs out; raise the train stage's memory or lower spec.training.batchSize",
        exit_code=ExitCode.OUT_OF_MEMORY,
    )
