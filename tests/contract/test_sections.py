"""A stage's records are found by its name, on both sides."""

import pathlib
from types import ModuleType

import pytest

from modelrefresh.contract import sections, stages
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs import stages as worker


@pytest.mark.parametrize("stage", Stage)
def test_every_stage_says_what_it_is_asked_and_what_it_answers(stage: Stage) -> None:
    assert sections.input_of(stage).__name__ == f"{stage.title()}Input"
    assert sections.summary_of(stage).__name__ == f"{stage.title()}Summary"


@pytest.mark.parametrize("package", [stages, worker])
def test_there_is_a_file_for_each_stage_and_no_other(package: ModuleType) -> None:
    [folder] = package.__path__
    files = {path.stem for path in pathlib.Path(folder).glob("[a-z]*.py")}
    assert files == {sections.module_name(stage) for stage in Stage}


def test_a_word_that_python_keeps_gets_another_file_name() -> None:
    assert (sections.module_name(Stage.IMPORT), sections.module_name(Stage.TRAIN)) == ("import_", "train")


@pytest.mark.parametrize("stage", Stage)
def test_a_stage_publishes_below_the_workspace_only(stage: Stage) -> None:
    assert set(sections.publishes(stage)) <= {"residuals", "versions"}
