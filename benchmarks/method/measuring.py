"""All cells of one training: data and training once, then for each cell its merge and its questions.

Through the stages themselves; only the instruction tuning, of which there is no stage, is the demo's seed's own
loop. Arithmetic is counted, not measured: `6 N D` for D tokens through N weights of which all are trained,
`(4 N + 6 n) D` where only n others beside them are, N for a subtraction and 2 N for a scaled sum.
"""

import dataclasses
import hashlib
import json
import pathlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import AutoModelForCausalLM

from benchmarks import tables
from benchmarks.method import cells, code, pairs, records
from benchmarks.method.cells import Cell, Way
from benchmarks.method.pairs import Pair
from benchmarks.method.records import Cost, Record
from benchmarks.method.running import Runner
from benchmarks.recipes import SUITES
from examples.seed import making, training
from modelrefresh.contract.stages.evaluate import EvaluateInput, SuiteInput
from modelrefresh.contract.stages.import_ import ImportInput
from modelrefresh.contract.stages.merge import MergeInput
from modelrefresh.contract.stages.prepare import PrepareInput
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method, Stage, Strategy, Transfer
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.tensors import safetensors_reader

ITEMS = 1000
_NEW_TOKENS = 24
"""As in the made models' own settings; an answer has a dozen."""
_ADAPTER = "adapter_model.safetensors"
_LENGTH, _BATCH = training.BLOCK, training.BATCH


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A training with all cells that come of it."""

    cells: Sequence[Cell]
    root: pathlib.Path
    """The store."""
    items: int = ITEMS
    """Of each suite at most."""

    @property
    def training(self) -> Cell:
        """What is trained."""
        return self.cells[0].training


def measure(course: Course) -> list[Record]:
    """A record of each cell; what a stage has against it is part of the findings."""
    wanted = course.training
    folder = pairs.workspace(course.root, wanted.family)
    begun = pairs.pair(course.root, wanted.family, wanted.start)
    name = hashlib.sha256(repr(wanted).encode()).hexdigest()[:16]
    runner = Runner(root=folder, run=f"cell-{name}")
    try:
        if wanted.way is not Way.STOCK:
            _train(wanted, begun, runner)
        return [_finished(cell, course, begun, runner) for cell in course.cells]
    except StageError as error:
        return [_failed(cell, begun, error) for cell in course.cells]
    finally:
        runner.clear()


def _train(wanted: Cell, begun: Pair, runner: Runner) -> None:
    size = cells.SIZES[wanted.family.size]
    base, instruct = (pairs.uri(runner.root, wanted.start, role) for role in ("base", "instruct"))
    prepare = PrepareInput(
        base=base,
        data=f"file://{runner.root / 'corpus' / 'new'}",
        replay=f"file://{runner.root / 'corpus' / 'general'}" if wanted.replay else None,
        replay_percent=wanted.replay,
        sequence_length=_LENGTH,
        max_tokens=wanted.budget,
        seed=wanted.family.seed,
    )
    train = TrainInput(
        zero_stage=0,
        start=instruct if wanted.way is Way.SETTING_1 else base,
        method=wanted.method,
        learning_rate=wanted.rate * (size.full_rate if wanted.method is Method.FULL else size.lora_rate),
        sequence_length=_LENGTH,
        batch_size=_BATCH,
        lora_rank=wanted.rank,
        lora_alpha=2 * wanted.rank,
        lora_embeddings=wanted.embeddings,
        checkpoint_seconds=86_400,
        seed=wanted.family.seed,
    )
    runner.ask(Stage.PREPARE, prepare)
    tokens = runner.ask(Stage.TRAIN, train).tokens
    _count(runner, tokens=tokens, flops=_arithmetic(wanted.method, begun.weights, runner) * tokens)


def _arithmetic(method: Method, weights: int, runner: Runner) -> float:
    """For each token."""
    if method is Method.FULL:
        return 6 * weights
    adapter = safetensors_reader.open_file(runner.folders.trained / _ADAPTER)
    beside = sum(tensor.count for tensor in adapter.values())
    return 4 * weights + 6 * beside


def _count(runner: Runner, *, tokens: int = 0, flops: float) -> None:
    """Say more of the last step."""
    runner.costs[-1] = dataclasses.replace(runner.costs[-1], tokens=tokens, flops=flops)


def _finished(cell: Cell, course: Course, begun: Pair, trained: Runner) -> Record:
    runner = dataclasses.replace(trained, costs=list(trained.costs))
    drift = None
    try:
        if cell.way is Way.STOCK:
            runner.costs += _made(begun)
            instruct = pairs.uri(runner.root, cell.start, "instruct")
            digest = runner.ask(Stage.IMPORT, ImportInput(instruct=instruct)).digest
        elif cell.way is Way.TUNED:
            digest = _tuned(cell, begun, runner)
        else:
            merged = runner.ask(Stage.MERGE, _merge(cell, course, runner))
            _count(runner, flops=2 * begun.weights)
            digest, drift = merged.digest, merged.drift
        answers = _answers(digest, course, runner)
    except StageError as error:
        return _failed(cell, begun, error)
    shutil.rmtree(runner.folders.workspace.version(digest))
    return _record(cell, begun, costs=tuple(runner.costs), answers=answers, drift=drift)


def _failed(cell: Cell, begun: Pair, error: StageError) -> Record:
    return _record(cell, begun, answers={}, failure=f"{error}".replace(str(records.STORE), "..."))


def _record(cell: Cell, begun: Pair, **found: Any) -> Record:  # noqa: ANN401 -- the record's other fields
    return Record(
        cell=cell, code=code.of_cells(cell.family.size), day=f"{tables.today()}", weights=begun.weights, **found
    )


def _made(begun: Pair) -> list[Cost]:
    flops = 6.0 * begun.weights * begun.tuning_tokens
    return [
        Cost(step="tune", tokens=begun.tuning_tokens, flops=flops, seconds=begun.tuning_seconds),
        Cost(step="extract", flops=begun.weights, seconds=begun.extract_seconds),
    ]


def _merge(cell: Cell, course: Course, runner: Runner) -> MergeInput:
    given = pairs.pair(course.root, cell.family, cell.residual)
    if cell.way is Way.SETTING_1:
        instruct = pairs.uri(runner.root, cell.start, "instruct")
        return MergeInput(start=instruct, strategy=Strategy.DIRECT, residual=given.residual)
    transfer = None if cell.residual is cell.start else Transfer.SAME_FAMILY
    base = pairs.uri(runner.root, cell.start, "base")
    return MergeInput(start=base, residual=given.residual, scale=cell.scale, transfer=transfer)


def _tuned(cell: Cell, begun: Pair, runner: Runner) -> str:
    """The trained base, tuned on the chats of the seed as its instruct model was."""
    usual, folder = pairs.settings(cell.family), runner.folders.trained.parent / "tuned"
    words = pairs.words(pairs.models(runner.root, cell.start) / "instruct")
    model = AutoModelForCausalLM.from_pretrained(runner.folders.trained)
    spent = training.train(
        model,
        training.chats(words, pairs.learned(cell.family).chats),
        training.Course(name="tune", steps=usual.instruct_steps, rate=usual.tuning_rate, seed=usual.seed + 1),
    )
    flops = 6.0 * begun.weights * spent.tokens
    runner.costs.append(Cost(step="tune", tokens=spent.tokens, flops=flops, seconds=round(spent.seconds, 3)))
    making.save(model, words, folder)
    return str(runner.ask(Stage.IMPORT, ImportInput(instruct=f"file://{folder}")).digest)


def _answers(digest: str, course: Course, runner: Runner) -> dict[str, str]:
    suites = tuple(
        SuiteInput(name=name, uri=f"file://{runner.root / 'evals' / name}.jsonl", task=task)
        for name, (task, _) in SUITES.items()
    )
    runner.ask(
        Stage.EVALUATE,
        EvaluateInput(candidate=digest, suites=suites, max_items=course.items, max_new_tokens=_NEW_TOKENS),
    )
    found = {}
    for name, (_, metric) in SUITES.items():
        lines = (runner.folders.records / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        found[name] = "".join("1" if json.loads(line)["candidate"][metric] == 1 else "0" for line in lines)
    return found
