"""A stored residual in each number format: its size, how exactly it gives the instruct model back, and who reads it.

For pairs whose instruct model lies a small, a usual and a large step away from its base. `residuals` is the package of
the method's authors; it adds our folder to the base as it is, in the models' own format, without our exceptions.
"""

import pathlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks import checkpoints, rivals, tables
from benchmarks.checkpoints import Shape
from modelrefresh_jobs.by_hand import cli
from modelrefresh_jobs.models import model_folder
from modelrefresh_jobs.tensors import dtypes, safetensors_reader
from modelrefresh_jobs.tensors.dtypes import Scratch
from modelrefresh_jobs.tensors.safetensors_reader import Reader
from modelrefresh_jobs.weights import stored_residual
from modelrefresh_jobs.weights.residual_math import Forms

STEPS = (0.0002, 0.001, 0.005)
"""Distances of the instruct model; weights are N(0, 0.02)."""
_ADD = """
import sys, torch, residuals
base, stored, out, kind = sys.argv[1:]
residuals.Residuals.apply_to_pretrained(
    base, stored, out_dir=out, dtype=getattr(torch, kind), normalize_embeddings=False
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one pair's residual is like."""

    form: str
    step: float
    weights: int
    exceptions: int
    size: float
    """Bytes of numbers and exceptions, of those of one model's weights."""
    wrong: int
    """Weights that base and residual do not give back."""
    wrong_elsewhere: float
    """The same by `residuals`, as a share."""


def run(folder: pathlib.Path, shape: Shape) -> list[Figures]:
    """All formats and steps."""
    pairs = [(form, step) for form in dtypes.FORMATS.values() for step in STEPS]
    return [_measured(folder / f"{form.name}-{step}", shape, form, step) for form, step in pairs]


def render(figures: Sequence[Figures]) -> str:
    """The table."""
    rows = [
        [
            f"{one.form}, {one.step / 0.02:.0%}",
            f"{100 * one.exceptions / one.weights:.2f} %",
            f"{one.size:.3f}",
            str(one.wrong),
            f"{100 * one.wrong_elsewhere:.2f} %",
        ]
        for one in figures
    ]
    head = (
        "format, distance",
        "exceptions",
        "size, x a model",
        "not given back",
        "not given back by `residuals` 0.3.2",
    )
    return f"Pairs of {figures[0].weights / 1e6:.0f} million weights; one run.\n\n{tables.table(head, rows)}"


def _measured(folder: pathlib.Path, shape: Shape, form: dtypes.Format, step: float) -> Figures:
    print(f"bench: a pair in {form.name}, {step:g} apart", flush=True)
    trio = checkpoints.make(folder, shape, kind=form.torch_name, away=step)
    stored, added = folder / "residual", folder / "added"
    code = cli.main(["extract", "--base", str(trio.base), "--instruct", str(trio.instruct), "--out", str(stored)])
    if code:
        raise RuntimeError(f"extract ended with {code}")
    python = rivals.ensure() / "python"
    command = (str(python), "-c", _ADD, str(trio.base), str(stored), str(added), form.torch_name)
    subprocess.run(command, check=True, capture_output=True)
    exceptions = sum(one.count for name, one in _exceptions(stored).items() if name.endswith(".places"))
    size = sum(path.stat().st_size for path in stored.glob("*.safetensors"))
    wrong, weights = sum(_differences(trio.base, trio.instruct, stored)), trio.parameters
    wrong_elsewhere = sum(_unequal(trio.instruct, added)) / weights
    shutil.rmtree(folder)
    return Figures(
        form=form.name,
        step=step,
        weights=weights,
        exceptions=exceptions,
        size=size / (weights * form.size),
        wrong=wrong,
        wrong_elsewhere=wrong_elsewhere,
    )


def _exceptions(stored: pathlib.Path) -> dict[str, safetensors_reader.Tensor]:
    description = stored_residual.read_description(stored)
    return dict(stored_residual.open_shards(stored, description.encoding).exceptions)


def _differences(base: pathlib.Path, instruct: pathlib.Path, stored: pathlib.Path) -> Iterator[int]:
    opened = stored_residual.open_shards(stored, stored_residual.read_description(stored).encoding)
    ours, theirs = model_folder.accept(base).tensors, model_folder.accept(instruct).tensors
    with Reader() as reader:
        for name, tensor in ours.items():
            restore = opened.restore(name, Forms(start=tensor.form, other=theirs[name].form), reader, Scratch())
            for span in safetensors_reader.slices(tensor):
                found = restore(*span, reader.bits(tensor, *span))
                yield int(np.count_nonzero(found != reader.bits(theirs[name], *span)))


def _unequal(instruct: pathlib.Path, added: pathlib.Path) -> Iterator[int]:
    with Reader() as reader:
        theirs = safetensors_reader.open_folder(added)
        for name, tensor in safetensors_reader.open_folder(instruct).items():
            pairs = (reader.bits(one, 0, one.count) for one in (tensor, theirs[name]))
            ours, found = pairs
            yield int(np.count_nonzero(ours != found))
