"""The demo's one-line picture of a run."""

from examples.demo import picture
from modelrefresh.api.status.run import Outcome, StageState
from modelrefresh.contract.vocabulary import Stage
from tests.examples import statuses

PREPARED = statuses.stage(Stage.PREPARE, StageState.SUCCEEDED, seconds=4)
TRAINING = statuses.stage(Stage.TRAIN, StageState.RUNNING, progress="68%")
TO_MERGE = statuses.stage(Stage.MERGE, StageState.WAITING)


def test_a_running_stage_shows_a_bar_an_ended_one_its_time_and_a_waiting_one_a_dot() -> None:
    status = statuses.document(PREPARED, TRAINING, TO_MERGE)
    assert picture.line(status) == "prepare ✓ 4s  train ▓▓▓▓▓░░░ 68%  merge ·  rollout ·"


def test_a_stage_that_takes_over_a_minute_shows_minutes() -> None:
    status = statuses.document(statuses.stage(Stage.TRAIN, StageState.SUCCEEDED, seconds=83))
    assert picture.line(status).startswith("train ✓ 1m23s")


def test_a_later_attempt_shows_its_number_and_a_failure_its_reason() -> None:
    failed = statuses.stage(Stage.TRAIN, StageState.FAILED).model_copy(update={"attempt": 2, "reason": "OutOfMemory"})
    assert picture.line(statuses.document(failed)).startswith("train (2) ✗ OutOfMemory")


def test_the_rollout_is_drawn_while_the_deployment_moves() -> None:
    status = statuses.document(TO_MERGE, conditions=(statuses.condition("Ready", "RollingOut"),))
    assert picture.line(status).endswith("rollout …")


def test_a_promoted_run_ends_with_a_tick_and_a_rejected_one_with_the_word() -> None:
    promoted = picture.line(statuses.document(outcome=Outcome.PROMOTED))
    rejected = picture.line(statuses.document(outcome=Outcome.REJECTED))
    assert (promoted, rejected) == ("rollout ✓", "rollout - (Rejected)")


def test_small_progress_is_no_change_worth_a_line_but_a_quarter_is() -> None:
    def at(progress: str) -> object:
        return picture.change(statuses.document(statuses.stage(Stage.TRAIN, StageState.RUNNING, progress=progress)))

    assert at("51%") == at("74%")
    assert at("74%") != at("75%")
