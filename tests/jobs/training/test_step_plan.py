"""How the blocks of a run are spread over steps and processes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method
from modelrefresh_jobs.training import step_plan


def course(blocks: int, **wanted: object) -> step_plan.Course:
    settings: dict[str, object] = {
        "method": Method.FULL,
        "learning_rate": 1e-4,
        "sequence_length": 32,
    } | wanted
    return step_plan.plan(TrainInput(start="file:///x", **settings), blocks=blocks)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("blocks", "wanted", "examples", "steps"),
    [
        (2, {"batch_size": 8}, 2, 1),
        (47, {"batch_size": 1000}, 47, 1),
        (75, {"batch_size": 4, "epochs": 0.5}, 37, 10),
        (10, {"batch_size": 4, "epochs": 1.25}, 12, 3),
        (100, {"batch_size": 1, "epochs": 0.29}, 29, 29),
        (3, {"epochs": 0.01}, 1, 1),
        (7, {"batch_size": 2, "gradient_accumulation": 3, "processes_per_node": 2}, 7, 1),
        (25, {"batch_size": 2, "gradient_accumulation": 3, "processes_per_node": 2}, 25, 3),
    ],
)
def test_blocks_are_met_as_often_as_asked(blocks: int, wanted: dict[str, object], examples: int, steps: int) -> None:
    found = course(blocks, **wanted)
    assert (found.examples, found.steps) == (examples, steps)


@given(some.integers(1, 500), some.floats(0.01, 5), some.integers(1, 70), some.integers(1, 5), some.integers(1, 12))
def test_no_course_meets_more_than_the_passes_asked_for_or_lets_a_process_wait(
    blocks: int, epochs: float, batch: int, accumulation: int, processes: int
) -> None:
    wanted = {"epochs": epochs, "batch_size": batch, "gradient_accumulation": accumulation}
    found = course(blocks, **wanted, processes_per_node=processes)
    assert 1 <= found.examples <= max(1, math.ceil(epochs) * blocks)
    assert found.batch_size <= batch
    assert found.examples <= found.length < found.examples + found.batch_size * found.processes
    assert found.processes == 1 or found.length % (found.batch_size * found.processes) == 0
    assert (found.steps - 1) * found.per_step < found.examples <= found.steps * found.per_step
