"""One attempt of one stage in a pod: its request comes from the environment, its result is recorded.

This is the boundary at which every exception becomes an exit code and a reason, once. Knows no stage's work.
"""

import logging
import os
import pathlib

from modelrefresh.contract import codec, result, sections, stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.attempt import record, stage_module
from modelrefresh_jobs.process import abrupt_end, classification, guarded_files, progress
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import sealed

LOG = logging.getLogger("modelrefresh.jobs")


def run(stage: Stage) -> result.Result:
    """The attempt that the environment asks for."""
    # No process that the stage starts needs to know it.
    nonce = os.environ.pop(stage_request.NONCE_VARIABLE, None)
    try:
        request = stage_request.parse(os.environ[stage_request.INPUT_VARIABLE])
    except codec.CodecError as error:
        return _misunderstood(stage, str(error), nonce)
    if request.stage is not stage:
        return _misunderstood(
            stage, f"{stage_request.INPUT_VARIABLE} asks for {request.stage}, the command for {stage}", nonce
        )
    return attempt(request, nonce=nonce)


def _misunderstood(stage: Stage, message: str, nonce: str | None) -> result.Result:
    LOG.error(message)
    ended = result.Result(
        stage=stage, run="", attempt=0, exit_code=ExitCode.BAD_INPUT, reason=StageReason.INPUT_INVALID, message=message
    )
    record.announce(ended, nonce=nonce)
    return ended


def attempt(request: stage_request.StageRequest, *, nonce: str | None = None) -> result.Result:
    """One attempt of one stage in a pod, from request to recorded result; never raises."""
    with guarded_files.guarding(pathlib.Path(request.workspace)):
        ended = _attempted(request, nonce)
    record.announce(ended, nonce=nonce)
    return ended


def _attempted(request: stage_request.StageRequest, nonce: str | None) -> result.Result:
    position = Progress(stage=request.stage.value)
    try:
        ended = _finished(request)
        if ended is None:
            record.begin(request)
            progress.serve(position, port=stage_request.PROGRESS_PORT)
            with abrupt_end.telling(lambda error: _tell(request, error, position, nonce)):
                ended = record.succeeded(request, stage_module.run(request, position), position)
            record.write(request, ended)
    except BaseException as error:  # noqa: BLE001 -- the boundary; log() keeps the traceback of our own faults
        failure = classification.classify(error)
        classification.log(failure, error)
        ended = record.failed(request, failure, position)
        _try_to_record(request, ended)
    return ended


def _finished(request: stage_request.StageRequest) -> result.Result | None:
    # What decides believes no file: whoever can write to the workspace would be the judge (docs/decisions/0024).
    found = None if request.stage is Stage.EVALUATE else record.earlier(request)
    if found is None or not isinstance(found.summary, sections.summary_of(request.stage)):
        return None
    folder = stage_module.artifact(request, found.summary)
    if folder is not None and not sealed.is_sealed(folder):
        LOG.warning("%s finished before, but %s is gone or incomplete; it runs again", request.stage, folder)
        return None
    LOG.info("%s finished before with this very request; its result stands", request.stage)
    return found


def _tell(request: stage_request.StageRequest, error: StageError, position: Progress, nonce: str | None) -> None:
    # The workspace may be what hangs, so what lies on the node comes first.
    ended = record.failed(request, classification.classify(error), position)
    record.announce(ended, nonce=nonce)
    _try_to_record(request, ended)


def _try_to_record(request: stage_request.StageRequest, ended: result.Result) -> None:
    try:
        record.write(request, ended)
    except OSError as error:
        # A full or missing workspace is often why the stage failed; the termination message still tells it.
        LOG.warning("result.json could not be written: %s", error)
