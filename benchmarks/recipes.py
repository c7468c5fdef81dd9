"""What method, learning rate and trained embeddings do to a refresh: the ground of the defaults.

Makes the demo's pair (untied) and a second one of another family (tied), and refreshes each
with every recipe through the stages themselves: one training, merge and evaluation each, on
the same blocks and questions. One seed: differences of a few hundredths mean nothing.
"""

import dataclasses
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures

from benchmarks import tables
from modelrefresh.contract import result, stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.stages.evaluate import EvaluateInput, Score, SuiteInput
from modelrefresh.contract.stages.extract import ExtractInput
from modelrefresh.contract.stages.import_ import ImportInput
from modelrefresh.contract.stages.merge import MergeInput
from modelrefresh.contract.stages.prepare import PrepareInput
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method, Stage, Strategy, Task

ARCHITECTURES = ("llama", "qwen2")
SUITES = {
    "new-knowledge": (Task.QUESTION_ANSWERING, "exact_match"),
    "retained": (Task.QUESTION_ANSWERING, "exact_match"),
    "instructions": (Task.INSTRUCTION_FOLLOWING, "follows"),
}
_ROOT = pathlib.Path(__file__).parents[1]
_OWNER = "recipes"
_CORES = 2
"""For each recipe at work; more recipes at once only make all of them slower."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One way to train."""

    method: Method
    rate: float
    embeddings: bool = False

    @property
    def label(self) -> str:
        """Its row's name."""
        beside = ", embeddings too" if self.embeddings else ""
        return f"{self.method} {self.rate:g}{beside}"


RECIPES = (
    *(Recipe(method=method, rate=rate) for method in (Method.FULL, Method.LORA) for rate in (2e-4, 2e-3)),
    Recipe(method=Method.LORA, rate=2e-3, embeddings=True),
)
"""Both methods at one rate and at ten times that, and the embeddings beside the adapters."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What came of one recipe."""

    label: str
    scores: tuple[float, ...]
    """Of the suites, in their order."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All recipes on one pair."""

    architecture: str
    parameters: int
    items: tuple[int, ...]
    rows: tuple[Row, ...]
    """The stock model first."""


class Bench:
    """One pair with its data in a workspace of its own."""

    def __init__(self, root: pathlib.Path, architecture: str) -> None:
        self._root, self._architecture = root, architecture
        seed = (sys.executable, "-m", "examples.seed", "--out", str(root), "--architecture", architecture)
        subprocess.run((*seed, "--threads", str(os.cpu_count())), check=True, cwd=_ROOT)

    def figures(self, recipes: tuple[Recipe, ...] = RECIPES) -> Figures:
        """Refresh with each recipe."""
        models = self._root / "models"
        extract = ExtractInput(base=_uri(models / "base"), instruct=_uri(models / "instruct"))
        cut = self._run("pair", Stage.EXTRACT, extract).summary
        stock = self._run("pair", Stage.IMPORT, ImportInput(instruct=extract.instruct)).summary
        assert cut is not None
        assert stock is not None
        with futures.ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // _CORES)) as pool:
            measured = list(pool.map(lambda recipe: self._refreshed(recipe, cut.digest), recipes))
        before = self._scores("pair", stock.digest)
        return Figures(
            architecture=cut.architecture,
            parameters=cut.parameters,
            items=tuple(score.items for score in before),
            rows=(
                _row("stock model", before),
                *(_row(recipe.label, scores) for recipe, scores in zip(recipes, measured, strict=True)),
            ),
        )

    def _refreshed(self, recipe: Recipe, residual: str) -> tuple[Score, ...]:
        run, base = recipe.label.replace(" ", "-").replace(",", ""), _uri(self._root / "models" / "base")
        prepare = PrepareInput(
            base=base,
            data=_uri(self._root / "corpus" / "new"),
            replay=_uri(self._root / "corpus" / "general"),
            replay_percent=33,
            sequence_length=64,
            max_tokens=100_000_000,
        )
        train = TrainInput(
            zero_stage=0,
            start=base,
            method=recipe.method,
            learning_rate=recipe.rate,
            sequence_length=64,
            epochs=1.25,
            batch_size=32,
            lora_rank=32,
            lora_alpha=64,
            lora_embeddings=recipe.embeddings,
        )
        merge = MergeInput(start=base, strategy=Strategy.RESIDUAL, residual=residual)
        self._run(run, Stage.PREPARE, prepare)
        self._run(run, Stage.TRAIN, train)
        merged = self._run(run, Stage.MERGE, merge).summary
        assert merged is not None
        return self._scores(run, merged.digest)

    def _scores(self, run: str, digest: str) -> tuple[Score, ...]:
        evaluate = EvaluateInput(candidate=digest, incumbent=None, suites=tuple(self._suites()))
        measured = self._run(run, Stage.EVALUATE, evaluate).summary
        assert measured is not None
        wanted = {name: metric for name, (_, metric) in SUITES.items()}
        scores = tuple(score for score in measured.scores if wanted[score.suite] == score.metric)
        told = "  ".join(f"{score.suite} {score.candidate:.3f}" for score in scores)
        print(f"bench: {self._architecture}, {run}: {told}", flush=True)
        return scores

    def _suites(self) -> Iterator[SuiteInput]:
        for name, (task, _) in SUITES.items():
            yield SuiteInput(name=name, uri=_uri(self._root / "evals" / f"{name}.jsonl"), task=task)

    def _run(self, run: str, stage: Stage, section: object) -> result.Result:
        request = stage_request.StageRequest(
            stage=stage, owner=_OWNER, run=run, workspace=str(self._root), section=section
        )
        variables = os.environ | {
            stage_request.INPUT_VARIABLE: stage_request.render(request),
            "MODELREFRESH_TERMINATION_LOG": os.devnull,
        }
        done = subprocess.run(
            (sys.executable, "-m", "modelrefresh_jobs", stage.value),
            check=False,
            env=variables,
            capture_output=True,
            text=True,
        )
        if done.returncode != ExitCode.OK:
            raise RuntimeError(f"{stage} of {run} ended with {done.returncode}; it said:\n{done.stderr[-3000:]}")
        answer = self._root / "runs" / _OWNER / run / stage.value / "result.json"
        return result.parse(answer.read_text(encoding="utf-8"))


def run(root: pathlib.Path) -> list[Figures]:
    """All recipes on both pairs."""
    return [Bench(root / architecture, architecture).figures() for architecture in ARCHITECTURES]


def render(figures: list[Figures]) -> str:
    """One table for each pair."""
    return "\n\n".join(_render(one) for one in figures)


def _render(one: Figures) -> str:
    head = ["recipe", *(f"{name}, {items}" for name, items in zip(SUITES, one.items, strict=True))]
    rows = [[row.label, *(f"{score:.3f}" for score in row.scores)] for row in one.rows]
    return f"{one.architecture} of {one.parameters:,} weights:\n\n{tables.table(head, rows)}"


def _row(label: str, scores: tuple[Score, ...]) -> Row:
    return Row(label=label, scores=tuple(score.candidate for score in scores))


def _uri(path: pathlib.Path) -> str:
    return f"file://{path}"
