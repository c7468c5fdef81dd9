"""`python -m benchmarks`: take the figures, print them as tables, and with --write keep them in docs/benchmarks.md.

Takes about an hour and 10 GB of disk; the name of a part takes that part alone. Nothing is judged: a figure that is
bad is printed like one that is good.
"""

import argparse
import os
import pathlib
import tempfile

from benchmarks import (
    checkpoints,
    fairness,
    fuzzing,
    loads,
    merging,
    preparing,
    recipes,
    refreshing,
    residual_sizes,
    tables,
)
from benchmarks.checkpoints import Shape
from benchmarks.refreshing import Load

PARAMETERS, ROUNDS = 550_000_000, 3
_PAIR = Shape(hidden=1024, inner=4096, vocabulary=8_000, layers=2)
_PARTS = ("merge", "residual", "data", "operator", "fairness", "recipes", "fuzz")
LOADS = (
    Load(objects=100, namespaces=5, rate=50, brief=True),
    Load(objects=100, namespaces=5, rate=1000),
    Load(objects=1000, namespaces=20, rate=50, brief=True),
    Load(objects=1000, namespaces=20, rate=1000, finish=False),
)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument(
        "part",
        nargs="?",
        choices=_PARTS,
        help="only this part",
    )
    parser.add_argument("--write", action="store_true", help="keep the tables in docs/benchmarks.md")
    parser.add_argument("--parameters", type=int, default=PARAMETERS, help="weights of each checkpoint")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="runs of each program of the merge")
    parser.add_argument("--tokens", type=int, nargs="+", default=preparing.MILLIONS, help="millions in the data")
    parser.add_argument("--objects", type=int, default=1000, help="leave out loads of more objects than this")
    chosen = parser.parse_args()
    # Taken once: later parts would find the load of the first.
    load = os.getloadavg()[0]
    if chosen.part in (None, "merge"):
        figures = merging.run(checkpoints.shape(chosen.parameters), rounds=chosen.rounds, others=True)
        _show("merge", merging.render(figures), load=load, write=chosen.write)
    if chosen.part in (None, "residual"):
        with tempfile.TemporaryDirectory(prefix="modelrefresh-residual-") as folder:
            found = residual_sizes.run(pathlib.Path(folder), _PAIR)
        _show("residual", residual_sizes.render(found), load=load, write=chosen.write)
    if chosen.part in (None, "data"):
        with tempfile.TemporaryDirectory(prefix="modelrefresh-data-") as folder:
            figures_of_data = preparing.run(pathlib.Path(folder), millions=chosen.tokens)
        _show("data", preparing.render(figures_of_data), load=load, write=chosen.write)
    if chosen.part in (None, "fuzz"):
        with tempfile.TemporaryDirectory(prefix="modelrefresh-fuzz-") as folder:
            _show("fuzz", fuzzing.render(fuzzing.run(pathlib.Path(folder))), load=load, write=chosen.write)
    if chosen.part in (None, "recipes"):
        with tempfile.TemporaryDirectory(prefix="modelrefresh-recipes-") as folder:
            _show("recipes", recipes.render(recipes.run(pathlib.Path(folder))), load=load, write=chosen.write)
    if chosen.part in (None, "fairness"):
        _show("fairness", fairness.render(fairness.run()), load=load, write=chosen.write)
    if chosen.part in (None, "operator"):
        runs = []
        for one in LOADS:
            if one.objects <= chosen.objects:
                runs.append(refreshing.run(one))
                print(f"bench: so far\n\n{loads.render(runs)}\n", flush=True)
        _show("operator", loads.render(runs), load=load, write=chosen.write)


def _show(name: str, text: str, *, load: float, write: bool) -> None:
    whole = f"{tables.circumstances(load=load)}\n\n{text}"
    print(f"\n{whole}\n", flush=True)
    if write:
        tables.keep(name, whole)


if __name__ == "__main__":
    main()
