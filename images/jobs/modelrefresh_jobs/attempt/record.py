"""How an attempt ended, on disk and in its termination message.

Knows the result file, the termination message and when a finished stage need not run again.
Refuses to know what a stage does. Success is written in an order that survives a kill: the
request first, the result last.
"""

import json
import logging
import os
import pathlib
import socket
from dataclasses import replace

from modelrefresh.contract import artifacts, result, stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.process import classification
from modelrefresh_jobs.process.classification import Failure
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import run_folders, sealed

LOG = logging.getLogger("modelrefresh.jobs")

TERMINATION_VARIABLE = "MODELREFRESH_TERMINATION_LOG"
REQUEST = "request.json"


def succeeded(request: stage_request.StageRequest, summary: object, position: Progress) -> result.Result:
    """The result of an attempt that came to its end."""
    return result.Result(
        stage=request.stage,
        run=request.run,
        attempt=request.attempt,
        exit_code=ExitCode.OK,
        warnings=tuple(position.warnings),
        summary=summary,
    )


def failed(request: stage_request.StageRequest, failure: Failure, position: Progress) -> result.Result:
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


def earlier(request: stage_request.StageRequest) -> result.Result | None:
    """The successful result of this very request on what it reads now, if an attempt of it finished before."""
    folder = _folder(request)
    try:
        if (folder / REQUEST).read_text() != _identity(request):
            return None
        found = result.parse((folder / artifacts.RESULT).read_text())
    except (FileNotFoundError, ValueError):  # a damaged record is none
        return None
    return found if found.exit_code is ExitCode.OK else None


def begin(request: stage_request.StageRequest) -> None:
    """Make the stage's folder and forget the result of an attempt before."""
    folder = _folder(request)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if request.stage is not Stage.SWEEP or error.errno not in classification.NO_SPACE:
            raise
        # A sweep is what makes room; there will be some when it has something to record.
        return
    (folder / artifacts.RESULT).unlink(missing_ok=True)


def write(request: stage_request.StageRequest, ended: result.Result) -> None:
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


def _folder(request: stage_request.StageRequest) -> pathlib.Path:
    return run_folders.of(request).scratch(request.stage)


def _identity(request: stage_request.StageRequest) -> str:
    document = stage_request.document_of(request)
    del document["attempt"]
    if folder := run_folders.of(request).read_by(request.stage):
        document["read"] = _digest(folder)
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
