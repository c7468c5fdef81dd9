"""A message says who and why first, and is short enough for a status whatever it lists."""

import pathlib
import random
from collections.abc import Callable

import pytest
import safetensors.torch
import torch

from modelrefresh.contract import result
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.models import model_folder
from modelrefresh_jobs.process import classification, errors
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import sealed
from modelrefresh_jobs.weights import compatibility
from tests.jobs import builders

Change = Callable[[torch.Tensor], torch.Tensor]


@pytest.mark.parametrize("seed", range(20))
def test_a_long_message_keeps_its_beginning_and_its_end_within_the_limit(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 -- inputs, not secrets
    words = "".join(chance.choice("aé漢😀 ") for _ in range(chance.randrange(1000, 5000)))
    message = str(StageError("ModelUnreadable", f"who and why: {words}: what to do"))
    assert len(message.encode()) <= errors.LIMIT
    assert message.startswith("who and why: ")
    assert message.endswith(": what to do")


def test_a_short_message_is_left_alone() -> None:
    assert str(StageError("ModelUnreadable", "é" * 700)) == "é" * 700


@pytest.mark.parametrize(("count", "said"), [(0, ""), (3, "0; 1; 2"), (4, "0; 1; 2; and 1 more")])
def test_a_list_is_three_and_a_number(count: int, said: str) -> None:
    assert errors.few(map(str, range(count))) == said


def layered(folder: pathlib.Path, layers: int, change: Change) -> None:
    """The model with many layers, some of their weights changed."""
    stored = safetensors.torch.load_file(folder / "model.safetensors")
    first = {name: value for name, value in stored.items() if ".layers.0." in name}
    for number in range(layers):
        copies = {name.replace(".0.", f".{number}.", 1): value.clone() for name, value in first.items()}
        stored |= {name: change(value) for name, value in copies.items()}
    safetensors.torch.save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    builders.edit_json(folder / "config.json", num_hidden_layers=layers)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda value: torch.zeros(*value.shape, 1), "other shapes: model.layers.0."),
        (lambda value: value[:0], "other shapes: model.layers.0."),
    ],
)
def test_a_refusal_of_hundreds_of_tensors_names_both_models_the_cause_three_and_a_count(
    tmp_path: pathlib.Path, change: Change, cause: str
) -> None:
    made = builders.tiny_pair(tmp_path)
    layered(made.base, 40, lambda value: value)
    layered(made.instruct, 40, change)
    with pytest.raises(StageError) as caught:
        compatibility.check_pair(model_folder.accept(made.base), model_folder.accept(made.instruct))
    said = str(caught.value)
    assert said.startswith(f"{made.base} and {made.instruct} do not fit: {cause}")
    assert said.count("model.layers.") == 3
    assert f"and {40 * 9 - 3} more" in said
    failed = result.Result(stage=Stage.EXTRACT, run="r1", attempt=1, exit_code=caught.value.exit_code, message=said)
    assert result.parse(result.render_short(failed)).message == said


def test_a_broken_seal_of_many_files_names_three_and_a_count(tmp_path: pathlib.Path) -> None:
    with sealed.draft(tmp_path, kind="version", label="made") as made:
        for number in range(500):
            (made.path / f"file-{number}").touch()
        digest = sealed.seal(made).digest
    for path in (tmp_path / digest).glob("file-*"):
        path.unlink()
    with pytest.raises(sealed.BrokenSealError, match="and 497 more"):
        sealed.verify(tmp_path / digest, deep=False)


def test_a_library_that_says_too_much_is_cut_in_the_middle() -> None:
    failure = classification.classify(RuntimeError(f"the cause: {'x' * 9000}: the end"))
    assert failure.message.startswith("RuntimeError: the cause: ")
    assert failure.message.endswith(": the end")
    assert len(failure.message) < result.MESSAGE_LIMIT
