"""The stages by hand, for people without a cluster: `modelrefresh-jobs merge --base ... --out ...`.

extract, import and merge take folders and write one folder; prepare, train and evaluate take
the fields of their request as flags and work in a workspace folder. Knows flags, no work.
"""

import argparse
import dataclasses
import enum
import pathlib
import sys
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any

from modelrefresh.contract import env, result
from modelrefresh_jobs import extract, import_model, intake, merge, outcome, sealed
from modelrefresh_jobs.failures import StageError
from modelrefresh_jobs.progress import Progress

Attempt = Callable[[env.StageInput], result.Result]
Summary = result.ExtractSummary | result.ImportSummary | result.MergeSummary

_GENERIC = {
    env.Stage.PREPARE: env.PrepareInput,
    env.Stage.TRAIN: env.TrainInput,
    env.Stage.EVALUATE: env.EvaluateInput,
}


def main(words: Sequence[str], attempt: Attempt) -> int:
    """Run one stage from flags; the return value is the process's exit code."""
    flags = _parser().parse_args(words)
    stage = env.Stage(flags.stage)
    if stage in _GENERIC:
        ended = attempt(_request(stage, flags))
        sys.stdout.write(result.render(ended) + "\n")
        return ended.exit_code
    try:
        summary = _weights(stage, flags)
    except BaseException as error:
        failure = outcome.classify(error)
        if not failure.expected:
            raise
        sys.stderr.write(f"{failure.reason}: {failure.message}\n")
        return failure.exit_code
    for field in dataclasses.fields(summary):
        sys.stdout.write(f"{field.name}: {getattr(summary, field.name)}\n")
    return 0


def _weights(stage: env.Stage, flags: argparse.Namespace) -> Summary:
    progress, out = Progress(stage=stage.value), flags.out.absolute()
    if out.exists():
        raise StageError("InputInvalid", f"--out: {out} exists already; name a folder that does not")
    kind = extract.KIND if stage is env.Stage.EXTRACT else merge.KIND
    parents = {name: str(value) for name, value in vars(flags).items() if name in ("instruct", "start", "trained")}
    with sealed.draft(out.parent, kind=kind, label=out.name, parents=parents) as made:
        if stage is env.Stage.EXTRACT:
            base, instruct = intake.accept(flags.base), intake.accept(flags.instruct)
            return extract.store(base, instruct, made, progress=progress, target=out)
        if stage is env.Stage.IMPORT:
            return import_model.store(intake.accept(flags.instruct), made, progress=progress, target=out)
        ingredients = merge.Ingredients(
            start=flags.start,
            trained=flags.trained,
            residual=flags.residual,
            strategy=env.Strategy(flags.strategy),
            scale=flags.scale,
        )
        return merge.store(ingredients, made, progress=progress, target=out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="modelrefresh-jobs", description="Stages of a model refresh, by hand.")
    stages = parser.add_subparsers(dest="stage", required=True)
    one = stages.add_parser("extract", help="cut the instruction residual of a base and its instruct model")
    _folders(one, base="base model", instruct="instruct model")
    one = stages.add_parser("import", help="copy an instruct model as a sealed version")
    _folders(one, instruct="instruct model")
    one = stages.add_parser("merge", help="add the residual to a continually pretrained model or adapter")
    _folders(one, residual="folder written by extract")
    one.add_argument(
        "--base", "--start", dest="start", type=pathlib.Path, required=True, help="model training began at"
    )
    one.add_argument("--cpt", "--trained", dest="trained", type=pathlib.Path, required=True, help="trained weights")
    one.add_argument("--scale", type=float, default=1.0, help="factor of the residual (default 1.0)")
    one.add_argument("--strategy", choices=list(env.Strategy), default=env.Strategy.RESIDUAL)
    for stage, kind in _GENERIC.items():
        _fields(stages.add_parser(stage.value, help=(kind.__doc__ or "").split("\n")[0]), kind)
    return parser


def _folders(parser: argparse.ArgumentParser, **folders: str) -> None:
    for name, meaning in folders.items():
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True, help=meaning)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder to write; must not exist")


def _fields(parser: argparse.ArgumentParser, kind: type) -> None:
    parser.add_argument(
        "--workspace", type=pathlib.Path, default=pathlib.Path("workspace"), help="scratch and versions"
    )
    parser.add_argument("--owner", default="by-hand", help="first part of the scratch path")
    parser.add_argument("--run", default="by-hand", help="second part of it; train finds there what prepare left")
    hints = typing.get_type_hints(kind)
    for field in _flags(kind):
        required = field.default is dataclasses.MISSING and not _optional(hints[field.name])
        flag = f"--{field.name.replace('_', '-')}"
        if typing.get_origin(hints[field.name]) is tuple:
            parser.add_argument(flag, type=_suite, nargs="+", required=required, default=(), metavar="NAME=TASK=URI")
        elif hints[field.name] is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=field.default)
        else:
            default = None if field.default is dataclasses.MISSING else field.default
            parser.add_argument(flag, type=_scalar(hints[field.name]), required=required, default=default)


def _flags(kind: type) -> list[dataclasses.Field[Any]]:
    """The fields that people at a shell give; what a later stage will be asked is none of them."""
    hints = typing.get_type_hints(kind)
    return [field for field in dataclasses.fields(kind) if hints[field.name] != env.TrainInput | None]


def _request(stage: env.Stage, flags: argparse.Namespace) -> env.StageInput:
    kind = _GENERIC[stage]
    values = {field.name: getattr(flags, field.name) for field in _flags(kind)}
    values |= {name: _as_uri(value) for name, value in values.items() if name in ("base", "data", "replay", "start")}
    values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    head = env.StageInput(stage=stage, owner=flags.owner, run=flags.run, workspace=str(flags.workspace.absolute()))
    return dataclasses.replace(head, **{stage.value: kind(**values)})


def _suite(text: str) -> env.SuiteInput:
    name, task, uri = text.split("=", 2)
    return env.SuiteInput(name=name, task=env.Task(task), uri=str(_as_uri(uri)))


def _as_uri(place: str | None) -> str | None:
    return place if place is None or "://" in place else f"file://{pathlib.Path(place).absolute()}"


def _optional(hint: object) -> bool:
    return isinstance(hint, types.UnionType)


def _scalar(hint: object) -> Callable[[str], object]:
    plain = typing.get_args(hint)[0] if _optional(hint) else hint
    assert isinstance(plain, type)  # noqa: S101 -- the contract's fields are scalars, optionals or tuples of suites
    return plain if not issubclass(plain, enum.Enum) else typing.cast("Callable[[str], object]", plain)
