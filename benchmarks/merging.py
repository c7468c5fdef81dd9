"""The merge against `cp`, mergekit and `residuals`: the same three checkpoints, in turn, several rounds in one run.

Everyone runs as a process of its own with its own defaults, from the command to the finished
folder, with the inputs in the page cache. Outputs are removed and the disk is flushed between
two runs, outside the measured time. How exact each result is, is counted as well.
"""

import functools
import os
import pathlib
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks import checkpoints, measured, rivals, tables
from benchmarks.checkpoints import Shape, Trio
from benchmarks.measured import Cost
from hack.cluster import settings
from modelrefresh_jobs.tensors import dtypes, safetensors_reader

ROOT = pathlib.Path(__file__).parents[1]
COPY, EXTRACT, MERGE, BOTH = "`cp -r`", "ModelRefresh, extract", "ModelRefresh, merge", "ModelRefresh, both"
MERGEKIT, STORE, APPLY = "mergekit 0.1.5, task_arithmetic", "residuals 0.3.2, extract", "residuals 0.3.2, apply"
_TOGETHER = ((BOTH, (EXTRACT, MERGE)), ("residuals 0.3.2, both", (STORE, APPLY)))
_MERGED = (MERGE, MERGEKIT, APPLY)
_PROBED = "model.layers.0.mlp.down_proj.weight"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One measured program."""

    name: str
    command: Sequence[str]
    out: pathlib.Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one run of the benchmark found."""

    trio: Trio
    costs: Mapping[str, Sequence[Cost]]
    inexact: Mapping[str, float]
    """Share of weights that are not the exact sum, rounded once."""


def run(shape: Shape, *, rounds: int, others: bool) -> Figures:
    """Make the checkpoints, run everyone `rounds` times in turn, and remove everything again."""
    with tempfile.TemporaryDirectory(prefix="modelrefresh-bench-", dir=_scratch()) as name:
        folder = pathlib.Path(name)
        print(f"bench: writing three checkpoints of {shape.parameters:,} weights", flush=True)
        trio = checkpoints.make(folder, shape)
        steps = [*_own(trio, folder), *(_others(trio, folder) if others else ())]
        costs: dict[str, list[Cost]] = defaultdict(list)
        inexact: dict[str, float] = {}
        for number in range(1, rounds + 1):
            for step in steps:
                cost = measured.run(step.command, log=folder / "log", environment=_environment())
                costs[step.name].append(cost)
                told = f"{cost.wall:.1f} s, {cost.anonymous // measured.MB} MB"
                print(f"bench: round {number} of {rounds}, {step.name}: {told}", flush=True)
                if step.name in _MERGED and step.name not in inexact:
                    inexact[step.name] = _inexact(trio, step.out)
                _clear(steps, step)
            figures = Figures(trio=trio, costs=costs, inexact=inexact)
            print(f"bench: so far\n\n{render(figures)}\n", flush=True)
        return figures


def render(figures: Figures) -> str:
    """The table."""
    costs = {name: measured.median(found) for name, found in figures.costs.items()}
    costs |= {
        name: measured.total([costs[part] for part in parts]) for name, parts in _TOGETHER if set(parts) <= set(costs)
    }
    order = [name for name in (COPY, EXTRACT, MERGE, BOTH, MERGEKIT, STORE, APPLY, _TOGETHER[1][0]) if name in costs]
    floor = costs[COPY].wall
    rows = [
        [
            name,
            f"{costs[name].wall:.1f}",
            _spread(figures.costs.get(name, ())),
            f"{costs[name].cpu:.1f}",
            f"{costs[name].wall / floor:.1f}",
            f"{costs[name].anonymous / measured.MB:,.0f}",
            f"{100 * figures.inexact[name]:.2f} %" if name in figures.inexact else "",
        ]
        for name in order
    ]
    head = ("program", "wall s", "least to most", "CPU s", "x `cp`", "anonymous MB", "not the exact sum")
    trio, rounds = figures.trio, len(figures.costs[COPY])
    size = f"{trio.parameters / 1e9:.3f} billion weights in bf16, {trio.bytes / 1e9:.2f} GB each"
    return f"Three checkpoints of {size}; medians of {rounds} rounds.\n\n{tables.table(head, rows)}"


def _own(trio: Trio, folder: pathlib.Path) -> list[Step]:
    ours, stored, merged = (sys.executable, "-m", "modelrefresh_jobs"), folder / "residual", folder / "merged"
    pair = ("--base", str(trio.base), "--instruct", str(trio.instruct))
    parts = ("--base", str(trio.base), "--cpt", str(trio.trained), "--residual", str(stored))
    return [
        Step(name=COPY, command=("cp", "-r", str(trio.base), str(folder / "copy")), out=folder / "copy"),
        Step(name=EXTRACT, command=(*ours, "extract", *pair, "--out", str(stored)), out=stored),
        Step(name=MERGE, command=(*ours, "merge", *parts, "--out", str(merged)), out=merged),
    ]


def _others(trio: Trio, folder: pathlib.Path) -> list[Step]:
    programs = rivals.ensure()
    python, recipe = str(programs / "python"), folder / "recipe.yaml"
    recipe.write_text(rivals.recipe(trio.base, trio.trained, trio.instruct))
    kit, stored, applied = folder / "mergekit", folder / "stored", folder / "applied"
    store = (python, "-c", rivals.EXTRACT, str(trio.base), str(trio.instruct), str(stored))
    apply = (python, "-c", rivals.APPLY, str(trio.trained), str(stored), str(applied))
    return [
        Step(name=MERGEKIT, command=(str(programs / "mergekit-yaml"), str(recipe), str(kit), "--quiet"), out=kit),
        Step(name=STORE, command=store, out=stored),
        Step(name=APPLY, command=apply, out=applied),
    ]


def _clear(steps: Sequence[Step], done: Step) -> None:
    """Remove what nobody needs any more; a stored residual is kept for the step that follows."""
    if done.name not in (EXTRACT, STORE):
        for step in steps[: steps.index(done) + 1]:
            shutil.rmtree(step.out, ignore_errors=True)
    os.sync()


def _inexact(trio: Trio, merged: pathlib.Path) -> float:
    base, instruct, trained, seen = (_bits(path) for path in (trio.base, trio.instruct, trio.trained, merged))
    widen = functools.partial(dtypes.widen, form=dtypes.BF16)
    exact = dtypes.narrow(widen(trained) + (widen(instruct) - widen(base)), dtypes.BF16)
    return float(np.mean(exact != seen))


def _bits(folder: pathlib.Path) -> dtypes.Bits:
    with safetensors_reader.Reader() as reader:
        tensor = safetensors_reader.open_folder(folder)[_PROBED]
        return reader.bits(tensor, 0, tensor.count)


def _spread(costs: Sequence[Cost]) -> str:
    walls = sorted(cost.wall for cost in costs)
    return f"{walls[0]:.1f} to {walls[-1]:.1f}" if walls else ""


def _environment() -> dict[str, str]:
    """Everyone chooses the number of threads as on any machine, and asks no hub."""
    kept = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    paths = os.pathsep.join(str(ROOT / source) for source in ("operator", "images/jobs"))
    return kept | {"PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def _scratch() -> pathlib.Path:
    folder = settings.CACHE
    folder.mkdir(parents=True, exist_ok=True)
    return folder
