"""A watch over steps that do not end: what it counts, what it does not, and that its end is told."""

import pathlib
import subprocess
import sys

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.training.watch.watchdog import FIRST, FIRST_TIMES, TIMES, Watchdog
from tests.jobs import builders

FLOOR = 600.0


class Watched:
    """A training whose events come one by one; time is what `wait` says."""

    def __init__(self, root: pathlib.Path, *, floor: float = FLOOR) -> None:
        self.ended: list[StageError] = []
        self.dog = Watchdog(floor=floor, leave=self.ended.append)
        self._arguments, self._state = TrainingArguments(output_dir=str(root), use_cpu=True), TrainerState()

    def step(self, *, saves: bool = False) -> None:
        """A step ends."""
        self._state.global_step += 1
        self.dog.on_step_end(self._arguments, self._state, TrainerControl(should_save=saves))

    def saved(self) -> None:
        """A checkpoint is written."""
        self.dog.on_save(self._arguments, self._state, TrainerControl())

    def wait(self, seconds: float) -> None:
        """The clock of the thread goes on, second by second."""
        for _ in range(round(seconds)):
            self.dog.tick(1.0)


@pytest.fixture
def watched(tmp_path: pathlib.Path) -> Watched:
    """One whose first steps are over."""
    made = Watched(tmp_path)
    for _ in range(FIRST):
        made.step()
    return made


def test_a_step_that_does_not_end_is_told_with_its_number_and_the_seconds(watched: Watched) -> None:
    watched.wait(FLOOR)
    assert watched.ended == []
    watched.wait(1)
    [error] = watched.ended
    assert (error.reason, error.exit_code) == ("TrainingStalled", ExitCode.TRANSIENT)
    assert str(error).startswith("step 6 has not ended after 601 s, of 600 s that it may take")


def test_every_step_begins_anew(watched: Watched) -> None:
    for _ in range(5):
        watched.wait(FLOOR)
        watched.step()
    assert watched.ended == []


def test_the_first_steps_may_take_longer(tmp_path: pathlib.Path) -> None:
    fresh = Watched(tmp_path)
    fresh.step()
    fresh.wait(FIRST_TIMES * FLOOR)
    assert fresh.ended == []
    fresh.wait(1)
    assert len(fresh.ended) == 1


def test_slow_steps_are_measured_by_their_median(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 50))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    slow = Watched(tmp_path, floor=60)
    for _ in range(FIRST):
        slow.step()
    assert slow.dog.limit == TIMES * 50


def test_a_checkpoint_may_take_its_time(watched: Watched) -> None:
    watched.step(saves=True)
    watched.wait(10 * FLOOR)
    assert watched.ended == []
    watched.saved()
    watched.wait(FLOOR + 1)
    assert len(watched.ended) == 1


def test_the_time_for_which_the_process_itself_was_stopped_does_not_count(watched: Watched) -> None:
    watched.dog.tick(1e6)
    assert watched.ended == []


_LEAVES = """
import pathlib, sys
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh_jobs.process import abrupt_end
from modelrefresh_jobs.process.errors import StageError
def tell(error):
    pathlib.Path(sys.argv[1]).write_text(str(error))
    raise OSError("the workspace hangs as well")
with abrupt_end.telling(tell):
    abrupt_end.leave(StageError(StageReason.TRAINING_STALLED, "step 3", exit_code=ExitCode.TRANSIENT))
"""


def test_an_abrupt_end_is_told_and_shows_where_it_hung_whatever_fails_on_the_way(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-c", _LEAVES, str(tmp_path / "told")]
    ended = subprocess.run(command, env=builders.shell(), capture_output=True, text=True, check=False)
    assert ended.returncode == ExitCode.TRANSIENT
    assert (tmp_path / "told").read_text() == "step 3"
    assert "Current thread" in ended.stderr
