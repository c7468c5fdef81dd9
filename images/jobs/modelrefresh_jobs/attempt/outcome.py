"""How an attempt ends: from an exception to exit code and reason, and the record of it on disk.

Knows the result file, the termination message and when a finished stage need not run again.
Refuses to know what a stage does. Success is written in an order that survives a kill: the
request first, the result last.
"""

import errno
import json
import logging
import os
import pathlib
import socket
import traceback
from dataclasses import dataclass, replace
from typing import Any

from modelrefresh.contract import artifacts, codec, result, stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.process import errors, guarded_files, signals
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import sealed

LOG = logging.getLogger("modelrefresh.jobs")

TERMINATION_VARIABLE = "MODELREFRESH_TERMINATION_LOG"
REQUEST = "request.json"
Summary = (
    result.ExtractSummary
    | result.ImportSummary
    | result.PrepareSummary
    | result.TrainSummary
    | result.MergeSummary
    | result.EvaluateSummary
    | result.SweepSummary
)
_READS = {
    Stage.TRAIN: (Stage.PREPARE, "blocks"),
    Stage.MERGE: (Stage.TRAIN, "model"),
}
"""What a stage reads of its own run under a fixed name; all else that it reads is named by its content."""
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_NO_SPACE_SAID = ("No space left on device", "PytorchStreamWriter failed writing", "unexpected pos")
_PEER_ERRORS = frozenset({"DistNetworkError", "DistStoreError"})
_PEER_SAID = (
    "gloo/transport",
    "Connection closed by peer",
    "Connection reset by peer",
    "remote process exit",
    "ncclRemoteError",
)
"""What torch.distributed says through gloo and NCCL when the other end is gone; it has no type for it."""
_OUTSIDE = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNREFUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt gave up."""

    exit_code: ExitCode
    reason: str
    message: str
    expected: bool
    """False for faults of this software, which deserve a traceback."""


def classify(error: BaseException) -> Failure:
    """Exit code, reason and message of whatever ended a stage; the only such table."""
    text = errors.fitted(f"{error}" or type(error).__name__)
    if isinstance(error, StageError):
        return _failure(error.exit_code, error.reason, text)
    if isinstance(error, codec.CodecError):
        return _failure(ExitCode.BAD_INPUT, "InputInvalid", text)
    if isinstance(error, signals.Preempted | KeyboardInterrupt):
        return _failure(ExitCode.PREEMPTED, "Preempted", text)
    if known := _exhausted(error, text) or _peer_lost(error, text) or _outside(error, text):
        return known
    # Nobody knows what is in its words; at a shell they are the person's own.
    detail = (
        f"{type(error).__name__} {_place(error)}" if guarded_files.is_guarded() else f"{type(error).__name__}: {text}"
    )
    return Failure(exit_code=ExitCode.INTERNAL, reason="InternalError", message=detail, expected=False)


def log(failure: Failure, error: BaseException) -> None:
    """Say why an attempt gave up."""
    told = failure.expected or guarded_files.is_guarded()
    LOG.log(logging.ERROR, "%s: %s", failure.reason, failure.message, exc_info=None if told else error)
    if told and not failure.expected:
        for frame in traceback.extract_tb(error.__traceback__):
            LOG.error("  %s:%s in %s", frame.filename, frame.lineno, frame.name)


def section(stage: Stage) -> str:
    """Field of request and result that belongs to a stage."""
    return "import_" if stage is Stage.IMPORT else stage.value


def succeeded(request: stage_request.StageInput, summary: Summary, position: Progress) -> result.Result:
    """The result of an attempt that came to its end."""
    head = result.Result(
        stage=request.stage,
        run=request.run,
        attempt=request.attempt,
        exit_code=ExitCode.OK,
        warnings=tuple(position.warnings),
    )
    sections: dict[str, Any] = {section(request.stage): summary}
    return replace(head, **sections)


def failed(request: stage_request.StageInput, failure: Failure, position: Progress) -> result.Result:
    """The result of an attempt that gave up."""
    return result.Result(
        stage=request.stage,
        run=request.run,
        attempt=request.attempt,
        exit_code=failure.exit_code,
        reason=failure.reason,
        message=failure.message,
        step=position.done if position.unit == "steps" else None,
    )


def earlier(request: stage_request.StageInput) -> result.Result | None:
    """The successful result of this very request on what it reads now, if an attempt of it finished before."""
    folder = _folder(request)
    try:
        if (folder / REQUEST).read_text() != _identity(request):
            return None
        found = result.parse((folder / artifacts.RESULT).read_text())
    except (FileNotFoundError, ValueError):  # a damaged record is none
        return None
    return found if found.exit_code is ExitCode.OK else None


def begin(request: stage_request.StageInput) -> None:
    """Make the stage's folder and forget the result of an attempt before."""
    folder = _folder(request)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if request.stage is not Stage.SWEEP or error.errno not in _NO_SPACE:
            raise
        # A sweep is what makes room; there will be some when it has something to record.
        return
    (folder / artifacts.RESULT).unlink(missing_ok=True)


def record(request: stage_request.StageInput, ended: result.Result) -> None:
    """Write result.json; a success also remembers its request so that it need not run again."""
    folder = _folder(request)
    folder.mkdir(parents=True, exist_ok=True)
    if ended.exit_code is ExitCode.OK:
        _write(folder / REQUEST, _identity(request))
    _write(folder / artifacts.RESULT, result.render(ended))


def announce(ended: result.Result, *, nonce: str | None = None) -> None:
    """Leave the termination message, where there is a kubelet that reads it; the nonce shows whose it is."""
    target = pathlib.Path(os.environ.get(TERMINATION_VARIABLE, "/dev/termination-log"))
    if target.parent.is_dir() and (target.exists() or TERMINATION_VARIABLE in os.environ):
        target.write_text(result.render_short(replace(ended, nonce=nonce)))


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "modelrefresh" in frame.filename] or frames
    return f"in {pathlib.Path(own[-1].filename).name} line {own[-1].lineno}" if own else "somewhere"


def _failure(exit_code: ExitCode, reason: str, message: str) -> Failure:
    return Failure(exit_code=exit_code, reason=reason, message=message, expected=True)


def _exhausted(error: BaseException, text: str) -> Failure | None:
    if _is_out_of_memory(error):
        return _failure(ExitCode.OUT_OF_MEMORY, "OutOfMemory", f"memory did not suffice: {text}")
    if _is_out_of_space(error):
        hint = "the workspace is full or read-only: free space, enlarge the claim or lower spec.retain.versions"
        return _failure(ExitCode.TRANSIENT, "InsufficientStorage", f"{hint} ({text})")
    return None


def _peer_lost(error: BaseException, text: str) -> Failure | None:
    # torch's classes are told by name: this module must not import torch to say that a file is missing.
    silent = type(error).__name__ in _PEER_ERRORS
    if silent or (isinstance(error, RuntimeError) and any(words in text for words in _PEER_SAID)):
        hint = "another process of this training went away; its own result says why, or its node or network failed"
        return _failure(ExitCode.PEER_LOST, "PeerLost", f"{hint} ({text})")
    return None


def _outside(error: BaseException, text: str) -> Failure | None:
    if isinstance(error, PermissionError):
        hint = f"user {os.getuid()} may not open it; make it readable for the stages' user (chmod a+r)"
        return _failure(ExitCode.BAD_INPUT, "SourceUnavailable", f"{text}: {hint}")
    lost = isinstance(error, ConnectionError | TimeoutError)
    if lost or (isinstance(error, OSError) and error.errno in _OUTSIDE):
        return _failure(ExitCode.TRANSIENT, "SourceUnavailable", text)
    return None


def _is_out_of_space(error: BaseException) -> bool:
    # safetensors and torch write by themselves and have no OSError for it.
    known = isinstance(error, OSError) and error.errno in _NO_SPACE
    return known or any(words in str(error) for words in _NO_SPACE_SAID)


def _is_out_of_memory(error: BaseException) -> bool:
    # By name, as above.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate" in str(error)


def _folder(request: stage_request.StageInput) -> pathlib.Path:
    workspace = artifacts.Workspace(root=pathlib.Path(request.workspace))
    return workspace.stage(request.owner, request.run, request.stage)


def _identity(request: stage_request.StageInput) -> str:
    document = codec.to_document(request)
    del document["attempt"]
    if request.stage in _READS:
        before, name = _READS[request.stage]
        document["read"] = _digest(_folder(replace(request, stage=before)) / name)
    return json.dumps(document, sort_keys=True, indent=1)


def _digest(folder: pathlib.Path) -> str:
    try:
        return sealed.read(folder).digest
    except sealed.BrokenSealError:
        return ""


def _write(target: pathlib.Path, text: str) -> None:
    # Every node of a training writes here, and in a pod every process is number 1.
    partial = target.with_name(f".{target.name}.{socket.gethostname()}.{os.getpid()}")
    with partial.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)
