"""A stage's records are found by its name, on both sides."""

import pathlib
from types import ModuleType

import pytest

from modelrefresh.contract import sections, stages
from modelrefresh.contract.stages.evaluate import SuiteInput
from modelrefresh.contract.stages.prepare import PrepareInput
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Stage, Task
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


def test_the_uris_of_a_request_are_what_stands_in_fields_for_them() -> None:
    suite = SuiteInput(name="pvc://secret/suite", uri="pvc://evals/facts.jsonl", task=Task.QUESTION_ANSWERING)
    train = TrainInput(start="pvc://models/start")
    asked = PrepareInput(
        base="pvc://models/base",
        data="pvc://corpus/news",
        replay="pvc://corpus/old",
        text_field="pvc://secret/text",
        sequence_length=16,
        max_tokens=16,
        suites=(suite,),
        train=train,
    )
    assert sorted(sections.uris_of(asked)) == [
        "pvc://corpus/news",
        "pvc://corpus/old",
        "pvc://evals/facts.jsonl",
        "pvc://models/base",
        "pvc://models/start",
    ]


@pytest.mark.parametrize("stage", Stage)
def test_a_stage_publishes_below_the_workspace_only(stage: Stage) -> None:
    assert set(sections.publishes(stage)) <= {"residuals", "versions"}
