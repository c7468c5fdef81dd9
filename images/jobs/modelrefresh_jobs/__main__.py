"""Entry of every stage: `python -m modelrefresh_jobs <stage>` in a pod, flags at a shell.

In a pod the request comes from the environment; by hand `cli` builds it from flags. This is the
boundary at which every exception becomes an exit code and a reason, once. Knows no stage's work.
"""

import dataclasses
import importlib
import logging
import os
import pathlib
import sys
from typing import Any, Protocol, cast

from modelrefresh.contract import codec, env, result
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh_jobs import cli, outcome, progress, sealed, signals
from modelrefresh_jobs.progress import Progress

LOG = logging.getLogger("modelrefresh.jobs")
MODULES = {stage: "import_model" if stage is env.Stage.IMPORT else stage.value for stage in env.Stage}

Summary = (
    result.ExtractSummary
    | result.ImportSummary
    | result.PrepareSummary
    | result.TrainSummary
    | result.MergeSummary
    | result.EvaluateSummary
    | result.SweepSummary
)


class StageModule(Protocol):
    """What every stage's module offers."""

    def run(self, request: env.StageInput, progress: Progress) -> Summary:
        """Do the stage's work."""

    def artifact(self, request: env.StageInput, summary: Summary) -> pathlib.Path | None:
        """Sealed folder that a finished stage leaves; None where the result is all."""


def main(arguments: list[str] | None = None) -> int:
    """Run one stage; the return value is the process's exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    signals.install()
    words = sys.argv[1:] if arguments is None else arguments
    if env.INPUT_VARIABLE in os.environ and len(words) == 1 and words[0] in set(env.Stage):
        return _from_environment(env.Stage(words[0])).exit_code
    return cli.main(words, attempt)


def _from_environment(stage: env.Stage) -> result.Result:
    try:
        request = env.parse(os.environ[env.INPUT_VARIABLE])
    except codec.CodecError as error:
        return _misunderstood(stage, str(error))
    if request.stage is not stage:
        return _misunderstood(stage, f"{env.INPUT_VARIABLE} asks for {request.stage}, the command for {stage}")
    return attempt(request)


def _misunderstood(stage: env.Stage, message: str) -> result.Result:
    LOG.error(message)
    ended = result.Result(
        stage=stage, run="", attempt=0, exit_code=ExitCode.BAD_INPUT, reason="InputInvalid", message=message
    )
    outcome.announce(ended)
    return ended


def attempt(request: env.StageInput) -> result.Result:
    """One attempt of one stage, from request to recorded result; never raises."""
    position = Progress(stage=request.stage.value)
    try:
        ended = _finished(request)
        if ended is None:
            outcome.begin(request)
            progress.serve(position, port=env.PROGRESS_PORT)
            ended = _succeeded(request, _module(request.stage).run(request, position), position)
            outcome.record(request, ended)
    except BaseException as error:
        failure = outcome.classify(error)
        LOG.log(logging.ERROR, "%s: %s", failure.reason, failure.message, exc_info=None if failure.expected else error)
        ended = _failed(request, failure, position)
        _try_to_record(request, ended)
    outcome.announce(ended)
    return ended


def _finished(request: env.StageInput) -> result.Result | None:
    found = outcome.earlier(request)
    if found is None:
        return None
    folder = _module(request.stage).artifact(request, getattr(found, _section(request.stage)))
    if folder is not None and not sealed.is_sealed(folder):
        LOG.warning("%s finished before, but %s is gone or incomplete; it runs again", request.stage, folder)
        return None
    LOG.info("%s finished before with this very request; its result stands", request.stage)
    return found


def _module(stage: env.Stage) -> StageModule:
    return cast("StageModule", importlib.import_module(f"modelrefresh_jobs.{MODULES[stage]}"))


def _section(stage: env.Stage) -> str:
    return "import_" if stage is env.Stage.IMPORT else stage.value


def _succeeded(request: env.StageInput, summary: Summary, position: Progress) -> result.Result:
    head = result.Result(
        stage=request.stage,
        run=request.run,
        attempt=request.attempt,
        exit_code=ExitCode.OK,
        warnings=tuple(position.warnings),
    )
    sections: dict[str, Any] = {_section(request.stage): summary}
    return dataclasses.replace(head, **sections)


def _failed(request: env.StageInput, failure: outcome.Failure, position: Progress) -> result.Result:
    return result.Result(
        stage=request.stage,
        run=request.run,
        attempt=request.attempt,
        exit_code=failure.exit_code,
        reason=failure.reason,
        message=failure.message,
        step=position.done if position.unit == "steps" else None,
    )


def _try_to_record(request: env.StageInput, ended: result.Result) -> None:
    try:
        outcome.record(request, ended)
    except OSError as error:
        # A full or missing workspace is often why the stage failed; the termination message still tells it.
        LOG.warning("result.json could not be written: %s", error)


if __name__ == "__main__":
    sys.exit(main())
