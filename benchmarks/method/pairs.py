"""Families of models, each in a workspace of its own in the user's cache: made once, with what they cost.

The first release is the demo's seed in some size. The second's base is the first's, trained further
on the docstrings of Python's standard library and on documents of the same old facts, written anew;
its instruct model is tuned from it on the same chats. Both residuals are cut by the stage itself.
"""

import ast
import json
import pathlib
import random
import shutil
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from benchmarks.method import cells, code
from benchmarks.method.cells import Family, Release
from benchmarks.method.running import Runner
from examples.seed import atlas, documents, making, recipe, syllabus, training, world
from modelrefresh.contract import codec
from modelrefresh.contract.stages.extract import ExtractInput
from modelrefresh.contract.vocabulary import Stage

_FURTHER_STEPS = 200
_FURTHER_RATE = 0.5
"""Of the first release's own rate."""
_SHORTEST = 200
"""Characters of a docstring that counts as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One release: its residual, and what its models took."""

    weights: int
    residual: str
    """Digest in the family's workspace."""
    distance: float
    """`||instruct - base|| / ||base||`."""
    tuning_tokens: int
    tuning_seconds: float
    extract_seconds: float


def workspace(root: pathlib.Path, family: Family) -> pathlib.Path:
    """Where a family lies."""
    return root / "families" / f"{family.name}-{code.of_pairs(family.size)}"


def ready(root: pathlib.Path, family: Family, release: Release) -> bool:
    """Whether a release is there."""
    return _record(workspace(root, family), release).exists()


def pair(root: pathlib.Path, family: Family, release: Release) -> Pair:
    """One release, made if it is not there; the second one makes the first."""
    folder = workspace(root, family)
    record = _record(folder, release)
    if not record.exists():
        if release is Release.SECOND:
            pair(root, family, Release.FIRST)
        made = _pair(folder, release, (_first if release is Release.FIRST else _second)(folder, family))
        record.write_text(json.dumps(codec.to_document(made)), encoding="utf-8")
    return codec.from_document(Pair, json.loads(record.read_text(encoding="utf-8")))


def settings(family: Family) -> recipe.Settings:
    """What the demo's seed is asked for."""
    size = cells.SIZES[family.size]
    return recipe.Settings(
        architecture=family.architecture,
        seed=family.seed,
        base_steps=size.base_steps,
        instruct_steps=size.instruct_steps,
        hidden=size.hidden,
        layers=size.layers,
        base_rate=size.base_rate,
        instruct_rate=size.instruct_rate,
    )


def learned(family: Family) -> syllabus.Syllabus:
    """Who learns what in a family."""
    return syllabus.make(_days(), seed=family.seed)


def words(folder: pathlib.Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a checkpoint."""
    return PreTrainedTokenizerFast.from_pretrained(folder)


def models(folder: pathlib.Path, release: Release) -> pathlib.Path:
    """Where a release's checkpoints lie in its family's workspace."""
    return folder / ("models" if release is Release.FIRST else "models-second")


def uri(folder: pathlib.Path, release: Release, role: str) -> str:
    """Of the base or the instruct model, as stages are asked for it."""
    return f"file://{models(folder, release) / role}"


def _record(folder: pathlib.Path, release: Release) -> pathlib.Path:
    return models(folder, release).with_suffix(".json")


def _days() -> atlas.Days:
    return atlas.read(world.document(*syllabus.DAYS))


def _first(folder: pathlib.Path, family: Family) -> training.Effort:
    shutil.rmtree(folder, ignore_errors=True)
    return making.make(settings(family), _days(), folder, threads=1).instruct


def _second(folder: pathlib.Path, family: Family) -> training.Effort:
    usual, known = settings(family), learned(family)
    tokenizer = words(models(folder, Release.FIRST) / "instruct")
    texts = documents.write(known.old, per_territory=recipe.OLD_DOCUMENTS // 4, seed=family.seed + 7)
    texts += list(prose())
    random.Random(family.seed).shuffle(texts)  # noqa: S311 -- reproducible data, no secret
    torch.manual_seed(family.seed)
    base = AutoModelForCausalLM.from_pretrained(models(folder, Release.FIRST) / "base")
    course = training.Course(
        name="base", steps=_FURTHER_STEPS, rate=_FURTHER_RATE * usual.base_rate, seed=family.seed + 7
    )
    training.train(base, training.documents(tokenizer, texts), course)
    return making.publish(base, tokenizer, known.chats, usual, models(folder, Release.SECOND))


def prose() -> Iterator[str]:
    """The longer docstrings of the modules of Python's standard library, in the order of their files."""
    for file in sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node) or ""
                if len(text) >= _SHORTEST:
                    yield text


def _pair(folder: pathlib.Path, release: Release, tuning: training.Effort) -> Pair:
    runner = Runner(root=folder, run=f"pair-{release.name.lower()}")
    wanted = ExtractInput(base=uri(folder, release, "base"), instruct=uri(folder, release, "instruct"))
    cut = runner.ask(Stage.EXTRACT, wanted)
    runner.clear()
    return Pair(
        weights=cut.parameters,
        residual=cut.digest,
        distance=cut.relative_norm,
        tuning_tokens=tuning.tokens,
        tuning_seconds=round(tuning.seconds, 3),
        extract_seconds=runner.costs[0].seconds,
    )
