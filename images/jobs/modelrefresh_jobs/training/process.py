"""Entry point of one training process under torchrun: `python -m modelrefresh_jobs.training.process`.

Trains and leaves its result as a file for the process that started torchrun. This is a
process boundary: every exception becomes a result once, with the same table as the stage.
"""

import dataclasses
import logging
import os
import pathlib
import sys

from modelrefresh.contract import result, stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process import abrupt_end, classification
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import run_folders
from modelrefresh_jobs.training import launcher, trainer

LOG = logging.getLogger("modelrefresh.jobs")


def main() -> int:
    """Train; the return value is the process's exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    exchange = pathlib.Path(os.environ[launcher.EXCHANGE_VARIABLE])
    rank = int(os.environ["RANK"])
    (exchange / f"{rank:05d}.{launcher.STARTED}").touch()
    if rank:
        LOG.setLevel(logging.WARNING)
    request = stage_request.parse(os.environ[stage_request.INPUT_VARIABLE])
    stop = exchange / launcher.STOP
    ended = result.Result(stage=request.stage, run=request.run, attempt=request.attempt, exit_code=ExitCode.OK)
    position = Progress(stage=request.stage.value)
    answer = exchange / f"{rank:05d}.json"
    try:
        with abrupt_end.telling(lambda error: answer.write_text(result.render(_failed(ended, error)))):
            summary = trainer.train(request.section, run_folders.of(request), position, stop=stop.exists)
        ended = dataclasses.replace(ended, summary=summary, warnings=tuple(position.warnings))
    except BaseException as error:
        ended = _failed(ended, error)
        if ended.reason == StageReason.INTERNAL_ERROR:
            LOG.exception("train: process %d: %s", rank, ended.message)
    answer.write_text(result.render(ended))
    return ended.exit_code


def _failed(ended: result.Result, error: BaseException) -> result.Result:
    failure = classification.classify(error)
    return dataclasses.replace(ended, exit_code=failure.exit_code, reason=failure.reason, message=failure.message)


if __name__ == "__main__":
    sys.exit(main())
