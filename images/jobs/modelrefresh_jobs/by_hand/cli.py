"""The stages by hand, for people without a cluster: `modelrefresh-jobs merge --base ... --out ...`.

Every stage takes the fields of its request as flags. extract, import and merge write one folder;
prepare, train and evaluate work in a workspace folder. Nothing is remembered: the same command
does its work again. Knows commands, no work; the flags of a record are `flags`' matter.
"""

import argparse
import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from modelrefresh.contract import codec, limits, result, sections, stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.forms import Uri
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.attempt import record, stage_module
from modelrefresh_jobs.by_hand import combinations, console, flags, memory_plan, written_place
from modelrefresh_jobs.process import classification, progress, release
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import run_folders, sources
from modelrefresh_jobs.storage.run_folders import RunFolders

COMMANDS: Mapping[Stage, str] = {
    Stage.EXTRACT: "cut the instruction residual of a base and its instruct model",
    Stage.PREPARE: "filter, tokenise and pack the new text",
    Stage.TRAIN: "continue the base's pretraining on what prepare packed",
    Stage.MERGE: "add the residual to the trained model or adapter",
    Stage.EVALUATE: "ask candidate and incumbent the same questions",
    Stage.IMPORT: "copy an instruct model as a sealed version",
}
"""What each command does; its flags are the fields of the stage's input."""
_ALSO = {"start": "base", "trained": "cpt"}
_PORTS = limits.Range(least=1, most=65_535)
_ORDER = """\
In this order, each on what the one before wrote:

  modelrefresh-jobs extract --base base --instruct instruct --out residual
  modelrefresh-jobs prepare --base base --data news.jsonl
  modelrefresh-jobs train --base base
  modelrefresh-jobs merge --base base --trained workspace/runs/by-hand/by-hand/train/model --residual residual --out new
  modelrefresh-jobs evaluate --candidate new --incumbent instruct --suites facts=question-answering=facts.jsonl

A PLACE is a path, file:///PATH, or hf://ORG/NAME@COMMIT. Ctrl-C leaves; train saves a checkpoint first and goes
on from it with the same command; a second Ctrl-C leaves at once. docs/by-hand.md shows all of it.

exit codes:
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Trained:
    """What a merge by hand takes beside its request; in a pod it is where the run's own train stage left it."""

    trained: Uri
    """What training wrote: a complete checkpoint or a PEFT adapter."""


class _Parser(argparse.ArgumentParser):
    """Refuses as the stages do, and takes no shortened flags, which a new flag could change."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 -- argparse's own
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)

    def error(self, message: str) -> NoReturn:
        raise StageError(StageReason.INPUT_INVALID, f"{message.removeprefix('argument ')} (see {self.prog} --help)")


def main(words: Sequence[str]) -> int:
    """Run one command from flags; the return value is the process's exit code."""
    document: Mapping[str, Any] | str
    try:
        given = parser().parse_args(words)
        asked = None if given.stage == memory_plan.COMMAND else request(given)
    except StageError as error:
        out = console.take()
        code, document = _failed(error)
    else:
        out = console.take()
        code, document = _run(asked, given) if asked else _plan(given)
    as_json = "--json" in words
    if as_json or code is ExitCode.OK:
        console.write(out, document, as_json=as_json)
    return code


def request(given: argparse.Namespace) -> stage_request.StageRequest:
    """The request that the flags ask for.

    Raises:
        StageError: InputInvalid, for flags that do not go together.
    """
    stage = Stage(given.stage)
    kind = sections.input_of(stage)
    values = flags.read(kind, given)
    if stage is Stage.PREPARE:
        values["replay_percent"] = _replay_percent(
            values["replay"], values["replay_percent"], generated=values["replay_generated"]
        )
    combinations.check(stage, values)
    return stage_request.StageRequest(
        stage=stage, owner=given.owner, run=given.run, workspace=str(given.workspace), section=kind(**values)
    )


def _plan(given: argparse.Namespace) -> tuple[ExitCode, Mapping[str, Any] | str]:
    try:
        document, text = memory_plan.run(given)
    except BaseException as error:  # noqa: BLE001 -- the boundary; log() keeps the traceback of our own faults
        return _failed(error)
    return ExitCode.OK, document if given.json else text


def _failed(error: BaseException) -> tuple[ExitCode, Mapping[str, Any]]:
    failure = classification.classify(error)
    classification.log(failure, error)
    said = {"exit_code": int(failure.exit_code), "reason": failure.reason, "message": failure.message}
    return failure.exit_code, said


def _run(asked: stage_request.StageRequest, given: argparse.Namespace) -> tuple[ExitCode, dict[str, Any]]:
    position = progress.Progress(stage=asked.stage.value)
    try:
        if given.port:
            progress.serve(position, host="127.0.0.1", port=given.port)
        summary, folder = _work(asked, given, position)
    except BaseException as error:  # noqa: BLE001 -- the boundary; log() keeps the traceback of our own faults
        failure = classification.classify(error)
        classification.log(failure, error)
        return failure.exit_code, result.document_of(record.failed(asked, failure, position))
    document = (
        result.document_of(record.succeeded(asked, summary, position)) if given.json else codec.to_document(summary)
    )
    return ExitCode.OK, document | ({"folder": str(folder)} if folder else {})


def _replay_percent(replay: str | None, percent: int | None, *, generated: bool) -> int:
    if replay and generated:
        raise StageError(StageReason.INPUT_INVALID, "--replay-generated: there is a --replay already; give one of them")
    if replay is None and not generated and percent is not None:
        raise StageError(StageReason.INPUT_INVALID, f"--replay-percent: {percent} percent of what? Give --replay too")
    asked = limits.REPLAY_PERCENT.whole if percent is None else percent
    return 0 if replay is None and not generated else asked


def _work(
    asked: stage_request.StageRequest, given: argparse.Namespace, position: progress.Progress
) -> tuple[object, pathlib.Path | None]:
    folders = _folders(asked, given)
    written_place.require(folders, asked)
    if folders.out is None:
        record.begin(asked)
    summary = stage_module.run(asked, position, folders=folders)
    return summary, stage_module.artifact(asked, summary, folders=folders)


def _folders(asked: stage_request.StageRequest, given: argparse.Namespace) -> RunFolders:
    """The folders of a run, but for what a person names otherwise."""
    folders = run_folders.of(asked)
    if not sections.publishes(asked.stage):
        return folders
    if os.path.lexists(given.out):
        raise StageError(StageReason.INPUT_INVALID, f"--out: {given.out} exists already; name a folder that does not")
    unsealed = sources.resolve(given.trained, folders) if asked.stage is Stage.MERGE else None
    return dataclasses.replace(folders, out=given.out, unsealed=unsealed)


def parser() -> argparse.ArgumentParser:
    """All commands with their flags; faults are StageErrors."""
    codes = flags.docstrings(ExitCode)
    table = "".join(f"  {code.value:<3} {codes[code.name]}\n" for code in ExitCode)
    whole = _Parser(prog="modelrefresh-jobs", description="Stages of a model refresh, by hand.", epilog=_ORDER + table)
    whole.add_argument("--version", action="version", version=f"modelrefresh {release.version()}")
    commands = whole.add_subparsers(dest="stage", required=True, metavar="STAGE", parser_class=_Parser)
    for stage, text in COMMANDS.items():
        one = commands.add_parser(stage.value, help=text, description=f"{text[0].upper()}{text[1:]}.")
        flags.add(one, sections.input_of(stage), also=_ALSO)
        publishes = bool(sections.publishes(stage))
        if stage is Stage.PREPARE:
            one.set_defaults(replay_percent=None)  # the default counts where there is replay
        if stage is Stage.MERGE:
            flags.add(one, _Trained, also=_ALSO)
        if publishes:
            one.add_argument("--out", type=flags.folder, required=True, metavar="FOLDER", help="must not exist")
        _common(one, works_in_workspace=not publishes)
    _add_plan(commands)
    return whole


def _add_plan(commands: Any) -> None:  # noqa: ANN401 -- argparse's own, which has no public name
    text = memory_plan.TEXT
    one = commands.add_parser(memory_plan.COMMAND, help=text, description=f"{text[0].upper()}{text[1:]}.")
    flags.add(one, memory_plan.PlanInput)
    _workspace(one, "downloads of hf:// places")
    one.add_argument("--json", action="store_true", help="write the result as JSON, also that of a failure")


def _common(parser: argparse.ArgumentParser, *, works_in_workspace: bool) -> None:
    use = "scratch of the stages, and downloads of hf:// places" if works_in_workspace else "downloads of hf:// places"
    _workspace(parser, use)
    parser.set_defaults(owner="by-hand", run="by-hand")
    if works_in_workspace:
        parser.add_argument(
            "--owner", type=flags.name, metavar="WORD", help="first part of the scratch path (default by-hand)"
        )
        parser.add_argument(
            "--run",
            type=flags.name,
            metavar="WORD",
            help="second part; train takes the blocks of its own run (default by-hand)",
        )
    parser.add_argument("--json", action="store_true", help="write the result as JSON, also that of a failure")
    parser.add_argument(
        "--port", type=flags.whole(_PORTS), metavar="N", help="tell the progress on this port of 127.0.0.1"
    )


def _workspace(parser: argparse.ArgumentParser, use: str) -> None:
    help_text = f"{use} (default workspace)"
    parser.add_argument("--workspace", type=flags.folder, default="workspace", metavar="FOLDER", help=help_text)
