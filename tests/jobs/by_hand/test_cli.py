"""The stages by hand: what is printed where, that nothing old is returned, and how they are left."""

import io
import json
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh_jobs.by_hand import cli, console
from modelrefresh_jobs.process import progress
from modelrefresh_jobs.storage import sealed
from modelrefresh_jobs.training import progress_file
from tests.jobs import builders, corpora
from tests.jobs.attempt.test_record import python

PATIENCE = 240
"""Seconds for processes that import torch on a busy machine."""


class Shell:
    """A person at a shell, in this process."""

    def __init__(self, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch, self.folder = monkeypatch, folder
        self.printed = ""
        monkeypatch.chdir(folder)

    def run(self, *words: object) -> int:
        """Run one command; what it printed is kept."""
        out = io.StringIO()
        self._patch.setattr(console, "take", lambda: out)
        code = cli.main([str(word) for word in words])
        self.printed = out.getvalue()
        return code

    def result(self, *words: object) -> dict[str, Any]:
        """The JSON result of a command."""
        self.run(*words, "--json")
        return dict(json.loads(self.printed))


@pytest.fixture
def shell(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr(progress, "serve", lambda *_, **__: pytest.fail("a port was opened"))
    return Shell(tmp_path, monkeypatch)


def test_standard_output_holds_the_result_and_nothing_else() -> None:
    script = """
import os, subprocess, sys
from modelrefresh_jobs.by_hand import console
out = console.take()
print("a line")
os.write(1, b"bytes of a library\\n")
subprocess.run([sys.executable, "-c", "print('of another process')"], check=True)
console.write(out, {"steps": 3}, as_json=True)
print("at the end")
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], env=builders.shell(), capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout) == {"steps": 3}
    assert {"a line", "bytes of a library", "of another process", "at the end"} == set(ran.stderr.splitlines())


def test_the_same_command_on_other_data_gives_another_result(shell: Shell) -> None:
    base = builders.tiny_model(shell.folder / "base")
    words = ("prepare", "--base", base, "--data", "d.jsonl", "--sequence-length", 32)
    seen = []
    for count in (30, 40):
        corpora.texts(shell.folder / "d.jsonl", corpora.sentences(count))
        ended = shell.result(*words)
        seen.append((ended["prepare"]["documents"], sealed.read(pathlib.Path(ended["folder"])).digest))
    assert [count for count, _ in seen] == [30, 40]
    assert seen[0][1] != seen[1][1]
    (shell.folder / "d.jsonl").write_text("not JSON\n")
    assert shell.run(*words) == ExitCode.BAD_INPUT
    assert not sealed.is_sealed(pathlib.Path(ended["folder"]))


def test_a_merge_by_hand_gives_the_instruct_model_back_and_says_where_it_is(shell: Shell) -> None:
    pair = builders.tiny_pair(shell.folder)
    assert shell.run("extract", "--base", "base", "--instruct", f"file://{pair.instruct}", "--out", "r") == 0
    words = ("merge", "--base", "base", "--cpt", f"file://{pair.base}", "--residual", "r", "--out", "new")
    assert shell.run(*words) == 0
    lines = dict(line.split(": ", 1) for line in shell.printed.splitlines())
    assert lines["digest"] == sealed.verify(shell.folder / "new", deep=True).digest
    assert lines["folder"] == str(shell.folder / "new")
    assert builders.weights(shell.folder / "new") == builders.weights(pair.instruct)
    assert shell.run(*words) == ExitCode.BAD_INPUT
    assert shell.printed == ""


@pytest.mark.parametrize(
    ("words", "reason", "expected"),
    [
        ("train --base b --epochs -1", "InputInvalid", "--epochs: '-1'; expected a number more than 0 and at most 100"),
        ("prepare --base b --data d --replay-percent 5", "InputInvalid", "Give --replay too"),
        ("prepare --base b --data d --replay r --replay-generated", "InputInvalid", "give one of them"),
        ("prepare --base b --data d --suites s=question-answering=f s=question-answering=g", "InputInvalid", "differ"),
        ("train", "InputInvalid", "--start"),
        ("nonsense", "InputInvalid", "nonsense"),
        ("extract --base b --instruct b --out r", "ModelUnreadable", "does not exist"),
        ("extract --base file --instruct b --out r", "ModelUnreadable", "is a file; expected the folder"),
        ("extract --base " + "x" * 300 + " --instruct b --out r", "ModelUnreadable", "File name too long"),
        ("extract --base hf://org/name@main --instruct b --out r", "ModelUnreadable", "can move"),
        ("merge --base b --cpt b --residual file --out r", "ModelUnreadable", "does not exist"),
        ("evaluate --candidate c --suites s=question-answering=f", "EvaluationUnreadable", "does not exist"),
        ("import --instruct b --out file", "InputInvalid", "is a file"),
    ],
)
def test_a_failure_is_a_result_too(
    shell: Shell, caplog: pytest.LogCaptureFixture, words: str, reason: str, expected: str
) -> None:
    (shell.folder / "file").write_text("x")
    ended = shell.result(*words.split())
    assert (ended["exit_code"], ended["reason"]) == (ExitCode.BAD_INPUT, reason)
    assert expected in ended["message"]
    assert f"{reason}: {ended['message']}" in caplog.messages
    assert shell.run(*words.split()) == ExitCode.BAD_INPUT
    assert shell.printed == ""


def test_a_stage_by_hand_listens_only_where_it_is_asked_to_and_only_to_this_machine(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    pair = builders.tiny_pair(shell.folder)
    assert shell.run("import", "--instruct", pair.instruct, "--out", "one") == 0
    monkeypatch.setattr(progress, "serve", lambda _, *, host, port: asked.append((host, port)))
    assert shell.run("import", "--instruct", pair.instruct, "--out", "two", "--port", 9401) == 0
    assert asked == [("127.0.0.1", 9401)]


def test_a_link_that_leads_nowhere_is_no_place_for_the_outcome(shell: Shell) -> None:
    (shell.folder / "new").symlink_to("nowhere")
    found = shell.result("import", "--instruct", builders.tiny_model(shell.folder / "instruct"), "--out", "new")
    assert (found["reason"], found["exit_code"]) == ("InputInvalid", ExitCode.BAD_INPUT)
    assert "exists already" in found["message"]


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        ("prepare --base base --data data --workspace data/work", "--workspace"),
        ("prepare --base base --data . --replay data", "--workspace"),
        ("prepare --base base --data data/a.jsonl --replay link --workspace data/work", "--workspace"),
        ("train --base base --workspace base", "--workspace"),
        ("evaluate --candidate base --suites s=question-answering=f.jsonl --workspace base/w", "--workspace"),
        ("extract --base base --instruct base --out base/residual", "--out"),
        ("merge --base data --trained base --residual data --out base/deep/new", "--out"),
        ("import --instruct base --out link/../base/new", "--out"),
    ],
)
def test_no_command_writes_into_what_it_reads(shell: Shell, words: str, flag: str) -> None:
    for name in ("base", "data"):
        (shell.folder / name).mkdir()
    (shell.folder / "data" / "a.jsonl").touch()
    (shell.folder / "link").symlink_to("data")
    found = shell.result(*words.split())
    assert found["reason"] == "InputInvalid"
    assert found["message"].startswith(f"{flag}: ")
    assert "which is read; name a folder outside of it" in found["message"]
    assert sorted(path.name for path in shell.folder.rglob("*")) == ["a.jsonl", "base", "data", "link"]


@pytest.mark.parametrize("command", ["train --base base --workspace", "import --instruct base --out"])
@pytest.mark.parametrize(
    ("place", "seen"),
    [
        ("n" * 250, "has 250 bytes; expected a name of at most"),
        ("n" * 300, "has 300 bytes; expected a name of at most"),
        ("deep/" * 900, "a path of "),
        ("/proc/new", "no folder can be made in /proc"),
    ],
)
def test_a_place_that_no_folder_can_be_made_at_is_told_without_a_traceback(
    shell: Shell, caplog: pytest.LogCaptureFixture, command: str, place: str, seen: str
) -> None:
    (shell.folder / "base").mkdir()
    found = shell.result(*command.split(), place)
    assert (found["reason"], found["exit_code"]) == ("InputInvalid", ExitCode.BAD_INPUT)
    assert seen in found["message"]
    assert not [one for one in caplog.records if one.exc_info]


def test_sealed_weights_that_changed_are_merged_by_nobody(shell: Shell) -> None:
    pair = builders.tiny_pair(shell.folder)
    assert shell.run("extract", "--base", pair.base, "--instruct", pair.instruct, "--out", "residual") == ExitCode.OK
    with sealed.draft(shell.folder, kind="trained", label="trained") as made:
        for path in pair.trained.iterdir():
            (made.path / path.name).write_bytes(path.read_bytes())
        sealed.seal(made, target=shell.folder / "sealed")
    merge = ("merge", "--base", pair.base, "--trained", "sealed", "--residual", "residual", "--out")
    assert shell.run(*merge, "first") == ExitCode.OK
    weights = shell.folder / "sealed" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    found = shell.result(*merge, "second")
    assert "has changed since it was sealed" in found["message"]
    assert not (shell.folder / "second").exists()


def test_help_tells_order_exit_codes_and_release() -> None:
    told = python("--help")
    assert told.returncode == 0
    assert [
        word for word in ("extract", "prepare", "train", "merge", "evaluate") if f"jobs {word} -" not in told.stdout
    ] == []
    assert [code.value for code in ExitCode if f"\n  {code.value}" not in told.stdout] == []
    assert python("--version").stdout.startswith("modelrefresh ")


def test_ctrl_c_saves_a_checkpoint_that_only_the_same_settings_go_on_from(shell: Shell) -> None:
    base = builders.tiny_model(shell.folder / "base")
    corpora.texts(shell.folder / "d.jsonl", corpora.sentences(300))
    prepared = shell.result("prepare", "--base", base, "--data", "d.jsonl", "--sequence-length", 32)
    words = ("train", "--base", "base", "--method", "full", "--batch-size", "1", "--learning-rate")
    command = [sys.executable, "-m", "modelrefresh_jobs", *words, "1e-3", "--epochs", "5"]
    process = subprocess.Popen(command, env=builders.shell(), cwd=shell.folder, stdout=subprocess.PIPE)
    position = pathlib.Path(prepared["folder"]).parents[1] / "train" / "progress.json"
    deadline = time.monotonic() + PATIENCE
    while not position.exists():
        assert process.poll() is None, "the stage ended before its first step"
        assert time.monotonic() < deadline, "the stage did not come to its first step"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed, _errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, printed) == (ExitCode.PREEMPTED, b"")
    [checkpoint] = (position.parent / "checkpoints").glob("checkpoint-*")
    assert sealed.is_sealed(checkpoint)

    going = []
    for rate in ("1e-3", "2e-3"):
        request = cli.request(cli.parser().parse_args([*words, rate, "--epochs", "5"]))
        found = sealed.read(checkpoint).parents
        going.append(progress_file.fits(found, progress_file.made_from(request.section, blocks=found["blocks"])))
    assert going == [True, False]
