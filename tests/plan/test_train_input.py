"""What training and its preparation are asked: the spec's words, taken over one by one."""

import pytest

from modelrefresh.contract.stages.prepare import PrepareInput
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import LearningRateSchedule, Stage
from modelrefresh.plan import prerequisites
from modelrefresh.plan.stages import order, prepare, train
from tests.plan import sights


def asked(training: dict[str, object]) -> TrainInput:
    """What the stage is asked of a spec whose training is this."""
    found = train.STAGE.ask(prerequisites.ready(sights.a_sight({"spec.training": training})), sights.a_run())
    assert isinstance(found, TrainInput)
    return found


@pytest.mark.parametrize(
    ("training", "floor", "decay"),
    [
        ({}, None, None),
        ({"learningRateSchedule": "Cosine", "minLearningRateRatio": "0.1"}, 0.1, None),
        ({"learningRateSchedule": "Cosine", "minLearningRateRatio": "0"}, 0.0, None),
        ({"learningRateSchedule": "WarmupStableDecay", "decayRatio": "0.25"}, None, 0.25),
    ],
)
def test_the_schedule_is_passed_on_with_what_belongs_to_it(
    training: dict[str, object], floor: float | None, decay: float | None
) -> None:
    wanted = asked(training)
    assert wanted.learning_rate_schedule == LearningRateSchedule(training.get("learningRateSchedule", "Linear"))
    assert (wanted.min_learning_rate_ratio, wanted.decay_ratio) == (floor, decay)


def test_what_a_step_may_take_is_passed_on() -> None:
    assert (asked({}).stall_seconds, asked({"stallSeconds": 30}).stall_seconds) == (600, 30)


@pytest.mark.parametrize(
    ("replay", "expected", "gpus"),
    [
        ({"uri": "pvc://corpus/general", "percent": 7}, ("pvc://corpus/general", False, 7), 0),
        ({"generate": True}, (None, True, 5), 1),
    ],
)
def test_replay_is_a_corpus_or_written_by_the_model_on_a_gpu(
    replay: dict[str, object], expected: tuple[object, ...], gpus: int
) -> None:
    sight = sights.a_sight({"spec.data.replay": replay})
    wanted = prepare.STAGE.ask(prerequisites.ready(sight), sights.a_run())
    assert isinstance(wanted, PrepareInput)
    assert (wanted.replay, wanted.replay_generated, wanted.replay_percent) == expected
    assert sight.spec is not None
    assert prepare.STAGE.size(sight.spec).gpus == gpus


@pytest.mark.parametrize(("generate", "cheap"), [(False, True), (True, False)])
def test_a_stage_that_writes_replay_on_a_gpu_is_not_tried_again_by_itself(*, generate: bool, cheap: bool) -> None:
    replay = {"generate": True} if generate else {"uri": "pvc://corpus/general", "percent": 7}
    sight = sights.a_sight({"spec.data.replay": replay})
    assert sight.spec is not None
    assert order.is_cheap(Stage.PREPARE, sight.spec) is cheap
