"""A signal before a stage begins and after it has ended is one line at most, and never a traceback."""

import subprocess
import sys

import pytest

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh_jobs import __main__
from modelrefresh_jobs.process import signals
from tests.jobs import builders

_EARLY = """
import importlib.abc, signal, sys
from modelrefresh_jobs import __main__
class Early(importlib.abc.MetaPathFinder):
    def find_spec(self, name, *_):
        if name == "modelrefresh_jobs.by_hand.cli":
            signal.raise_signal(signal.{number})
sys.meta_path.insert(0, Early())
sys.argv = ["modelrefresh-jobs", "plan", "--model", "nothing"]
sys.exit(__main__.entry())
"""
_LATE = """
import atexit, signal, sys
from modelrefresh_jobs import __main__
atexit.register(signal.raise_signal, signal.{number})
sys.argv = ["modelrefresh-jobs", "plan", "--model", "nothing"]
sys.exit(__main__.entry())
"""


def ended(script: str, number: str) -> tuple[int, list[str]]:
    """Exit code and what standard error says."""
    command = [sys.executable, "-c", script.format(number=number)]
    done = subprocess.run(command, env=builders.shell(), capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_signal_while_the_program_is_loaded_is_a_preemption_told_in_one_line(number: str) -> None:
    code, [line] = ended(_EARLY, number)
    assert code == ExitCode.PREEMPTED
    assert line.startswith(f"Preempted: {number} arrived")


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_signal_while_the_interpreter_ends_changes_nothing_about_the_result(number: str) -> None:
    code, [line] = ended(_LATE, number)
    assert code == ExitCode.BAD_INPUT
    assert line.startswith("ModelUnreadable: ")


@pytest.mark.parametrize(("left_with", "code"), [(7, 7), (None, ExitCode.OK), ("a word", ExitCode.INTERNAL)])
def test_a_library_that_leaves_by_itself_does_not_make_a_failure_a_success(
    left_with: object, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(__main__, "main", lambda: sys.exit(left_with))
    monkeypatch.setattr(signals, "ending", lambda _: None)
    assert __main__.entry() == code
