"""Whatever becomes of what a user brings, each reader takes it or refuses it with the user's reason and its place."""

import pathlib

import pytest

from tests.fuzz import answers, models, targets
from tests.fuzz.targets import Target

NAMES = (
    *("result.json", "request of a stage", "termination message", "status", "documents", "suites"),
    *("instruct model's small files", "start model's small files", "one file of weights", "shards and index"),
    *("adapter", "training's model", "stored residual", "stored residual, sealed anew", "what an attempt left"),
    "packed blocks",
)
SHARE = 28
"""Inputs for a target of weight 1; over all more than a thousand."""
pytestmark = pytest.mark.filterwarnings("ignore")  # what the libraries say of odd files is not the point


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    root = tmp_path_factory.mktemp("fuzz")
    return {target.name: target for target in [*answers.targets(root / "answers"), *models.targets(root)]}


def _is_taken(target: Target, file: str) -> bool:
    target.use(file)  # raises what the reader says against it
    return True


def test_every_reader_is_listed(readers: dict[str, Target]) -> None:
    assert set(readers) == set(NAMES)
    assert sum(SHARE * target.weight for target in readers.values()) >= 1000


@pytest.mark.parametrize("name", NAMES)
def test_whole_files_are_taken(readers: dict[str, Target], name: str) -> None:
    assert all(_is_taken(readers[name], file) for file in readers[name].files)


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_are_taken_or_refused_as_the_users(readers: dict[str, Target], name: str) -> None:
    target = readers[name]
    found = list(targets.trials(target, count=SHARE * target.weight, seed=9))
    assert [f"{trial.how}: {trial.fault}" for trial in found if trial.fault] == []
    assert target.total or any(trial.refused for trial in found)


def test_a_fault_of_this_software_is_told_from_a_refusal(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.json").write_text("{}")

    def broken(_name: str) -> None:
        raise ValueError("unforeseen")

    target = Target(name="broken", folder=tmp_path, files=("a.json",), use=broken)
    (trial,) = targets.trials(target, count=1, seed=0)
    assert "InternalError" in trial.fault
