"""From an exception to exit code, reason and message, in one table; and what the log says of it.

What a library says may quote somebody's file: it is told only where the files are the reader's own.
"""

import errno
import logging
import os
import pathlib
import traceback
from dataclasses import dataclass

from modelrefresh.contract import codec
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process import errors, guarded_files, signals
from modelrefresh_jobs.process.errors import StageError

LOG = logging.getLogger("modelrefresh.jobs")

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""What the operating system says of a disk that takes nothing."""
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
    reason: StageReason
    message: str
    expected: bool
    """False for faults of this software, which deserve a traceback."""


def classify(error: BaseException) -> Failure:
    """Exit code, reason and message of whatever ended a stage; the only such table."""
    text = errors.fitted(f"{error}" or type(error).__name__)
    if isinstance(error, StageError):
        return _failure(error.exit_code, error.reason, text)
    if isinstance(error, codec.CodecError):
        return _failure(ExitCode.BAD_INPUT, StageReason.INPUT_INVALID, text)
    if isinstance(error, signals.Preempted | KeyboardInterrupt):
        return _failure(ExitCode.PREEMPTED, StageReason.PREEMPTED, text)
    if known := _exhausted(error, text) or _peer_lost(error, text) or _outside(error, text):
        return known
    # Nobody knows what is in its words; at a shell they are the person's own.
    detail = (
        f"{type(error).__name__} {_place(error)}" if guarded_files.is_guarded() else f"{type(error).__name__}: {text}"
    )
    return Failure(exit_code=ExitCode.INTERNAL, reason=StageReason.INTERNAL_ERROR, message=detail, expected=False)


def log(failure: Failure, error: BaseException) -> None:
    """Say why an attempt gave up."""
    told = failure.expected or guarded_files.is_guarded()
    LOG.log(logging.ERROR, "%s: %s", failure.reason, failure.message, exc_info=None if told else error)
    if told and not failure.expected:
        for frame in traceback.extract_tb(error.__traceback__):
            LOG.error("  %s:%s in %s", frame.filename, frame.lineno, frame.name)


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "modelrefresh" in frame.filename] or frames
    return f"in {pathlib.Path(own[-1].filename).name} line {own[-1].lineno}" if own else "somewhere"


def _failure(exit_code: ExitCode, reason: StageReason, message: str) -> Failure:
    return Failure(exit_code=exit_code, reason=reason, message=message, expected=True)


def _exhausted(error: BaseException, text: str) -> Failure | None:
    if _is_out_of_memory(error):
        return _failure(ExitCode.OUT_OF_MEMORY, StageReason.OUT_OF_MEMORY, f"memory did not suffice: {text}")
    if _is_out_of_space(error):
        return _failure(ExitCode.TRANSIENT, StageReason.INSUFFICIENT_STORAGE, f"{errors.NO_ROOM} ({text})")
    return None


def _peer_lost(error: BaseException, text: str) -> Failure | None:
    # torch's classes are told by name: this module must not import torch to say that a file is missing.
    silent = type(error).__name__ in _PEER_ERRORS
    if silent or (isinstance(error, RuntimeError) and any(words in text for words in _PEER_SAID)):
        hint = "another process of this training went away; its own result says why, or its node or network failed"
        return _failure(ExitCode.PEER_LOST, StageReason.PEER_LOST, f"{hint} ({text})")
    return None


def _outside(error: BaseException, text: str) -> Failure | None:
    if isinstance(error, PermissionError):
        hint = f"user {os.getuid()} may not open it; make it readable for the stages' user (chmod a+r)"
        return _failure(ExitCode.BAD_INPUT, StageReason.SOURCE_UNAVAILABLE, f"{text}: {hint}")
    lost = isinstance(error, ConnectionError | TimeoutError)
    if lost or (isinstance(error, OSError) and error.errno in _OUTSIDE):
        return _failure(ExitCode.TRANSIENT, StageReason.SOURCE_UNAVAILABLE, text)
    return None


def _is_out_of_space(error: BaseException) -> bool:
    # safetensors and torch write by themselves and have no OSError for it.
    known = isinstance(error, OSError) and error.errno in NO_SPACE
    return known or any(words in str(error) for words in _NO_SPACE_SAID)


def _is_out_of_memory(error: BaseException) -> bool:
    # By name, as above.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate" in str(error)
