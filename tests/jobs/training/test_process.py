"""Train as its own processes: torchrun, DeepSpeed ZeRO on two CPU processes, and SIGTERM."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from modelrefresh.contract import artifacts, result, stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method, Stage
from modelrefresh_jobs.corpus import packing
from modelrefresh_jobs.process import signals
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import run_folders, sealed
from modelrefresh_jobs.training import launcher, trainer
from tests.jobs import builders, corpora
from tests.jobs.runs import Run

PATIENCE = 240
"""Seconds for processes that import torch on a busy machine."""


def asked(root: pathlib.Path, **changes: object) -> stage_request.StageRequest:
    base = builders.tiny_model(root / "base")
    corpora.prepared(root, base, documents=300)
    settings: dict[str, object] = {"learning_rate": 5e-3, "batch_size": 2, "epochs": 1.0, "checkpoint_seconds": 3600}
    wanted = TrainInput(start=builders.uri(base), method=Method.FULL, sequence_length=32, **(settings | changes))
    return builders.request(root, Stage.TRAIN, section=wanted)


def start(request: stage_request.StageRequest, *, log: pathlib.Path) -> "subprocess.Popen[bytes]":
    """The stage as its container would run it."""
    variables = os.environ | {
        stage_request.INPUT_VARIABLE: stage_request.render(request),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "modelrefresh_jobs", "train"]
    with log.open("wb") as stream:
        return subprocess.Popen(command, env=variables, stdout=stream, stderr=subprocess.STDOUT)


def two_processes(root: pathlib.Path, **changes: object) -> stage_request.StageRequest:
    """A request that nothing is prepared for."""
    settings = {"nodes": 1, "processes_per_node": 2, "zero_stage": 0} | changes
    wanted = TrainInput(start="file:///x", method=Method.FULL, learning_rate=1.0, sequence_length=32, **settings)
    return builders.request(root, Stage.TRAIN, section=wanted)


def launched(request: stage_request.StageRequest) -> None:
    launcher.train(request.section, run_folders.of(request), builders.quiet(Stage.TRAIN))


def pretend(monkeypatch: pytest.MonkeyPatch, processes: str) -> None:
    """Put a few lines in the place of torchrun."""
    script = f"""
import json, os, pathlib
exchange = pathlib.Path(os.environ["{launcher.EXCHANGE_VARIABLE}"])
def started(rank):
    (exchange / f"{{rank}}.{launcher.STARTED}").touch()
def said(rank, reason, code):
    document = dict(stage="train", run="r1", attempt=1, exit_code=code, reason=reason, message="seen", step=3)
    (exchange / f"{{rank}}.json").write_text(json.dumps(document))
def ended(rank, reason, code):
    said(rank, reason, code)
    raise SystemExit(code)
{processes}
"""
    monkeypatch.setattr(launcher, "_command", lambda _: [sys.executable, "-c", script])


def wait_for_step(request: stage_request.StageRequest, process: "subprocess.Popen[bytes]") -> None:
    wait_for(run_folders.of(request).position.exists, process)


def wait_for(seen: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE
    while not seen():
        assert process.poll() is None, "the stage ended too early"
        assert time.monotonic() < deadline, "the stage did not come so far"
        time.sleep(0.05)


def checkpoints(request: stage_request.StageRequest) -> list[int]:
    """Steps of the sealed checkpoints."""
    sealed_ones = run_folders.of(request).checkpoints.glob(f"checkpoint-*/{artifacts.MANIFEST}")
    return [int(file.parent.name.removeprefix("checkpoint-")) for file in sealed_ones]


def process_of(request: stage_request.StageRequest, *, rank: int) -> int:
    """The id of one training process; what others own cannot be looked into and is passed over."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            variables = (folder / "environ").read_bytes().split(b"\0")
            if f"RANK={rank}".encode() in variables and request.workspace.encode() in b"".join(variables):
                return int(folder.name)
    raise LookupError(f"no process of rank {rank}")


def recorded(request: stage_request.StageRequest) -> result.Result:
    workspace = artifacts.Workspace(root=pathlib.Path(request.workspace))
    folder = workspace.stage(request.owner, request.run, request.stage)
    return result.parse((folder / artifacts.RESULT).read_text())


def weights(request: stage_request.StageRequest) -> dict[str, torch.Tensor]:
    return load_file(run_folders.of(request).trained / "model.safetensors")


def test_zero_2_on_two_processes_saves_on_sigterm_and_ends_like_a_plain_run(tmp_path: pathlib.Path) -> None:
    request = asked(tmp_path / "two", zero_stage=2, processes_per_node=2)
    process = start(request, log=tmp_path / "first.log")
    wait_for_step(request, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=PATIENCE) == ExitCode.PREEMPTED, (tmp_path / "first.log").read_text()
    left = recorded(request)
    assert (left.reason, left.exit_code) == ("Preempted", ExitCode.PREEMPTED)
    assert left.step
    process = start(request, log=tmp_path / "second.log")
    assert process.wait(timeout=PATIENCE) == ExitCode.OK, (tmp_path / "second.log").read_text()
    ended = recorded(request).summary
    assert ended is not None
    assert (ended.resumed_step, ended.lost_steps) == (left.step, 0)
    assert sealed.is_sealed(run_folders.of(request).trained)
    # The last step is filled with an empty example, which is neither a pass nor a token.
    marks = packing.load(run_folders.of(request).blocks)[1]
    assert len(marks) % 4 == 3
    assert (ended.passes, ended.tokens) == (1.0, int(packing.tokens(marks).sum()))

    # The same run by one process with the same global batch: equal but for the order of additions.
    plain = asked(tmp_path / "one", batch_size=4)
    expected = trainer.train(plain.section, run_folders.of(plain), builders.quiet(Stage.TRAIN), stop=lambda: False)
    assert expected.steps == ended.steps
    assert ended.last_loss == pytest.approx(expected.last_loss, abs=0.02)
    for name, tensor in weights(plain).items():
        torch.testing.assert_close(weights(request)[name], tensor, atol=2e-3, rtol=0.05)


@pytest.mark.parametrize("zero_stage", [2, 3])
def test_a_spike_is_left_out_by_all_processes_alike(tmp_path: pathlib.Path, zero_stage: int) -> None:
    run = Run(tmp_path, batch_size=1, epochs=1.0, zero_stage=zero_stage, processes_per_node=2)
    documents = [(5, 6, 7, 8) * 8] * 160
    documents[int(np.random.default_rng((0, 0)).permutation(160)[150])] = tuple(range(100, 132))
    run.pack(*documents)
    process = start(run.request, log=tmp_path / "log")
    assert process.wait(timeout=PATIENCE) == ExitCode.OK, (tmp_path / "log").read_text()
    ended = recorded(run.request)
    assert ended.summary is not None
    assert (ended.summary.steps, ended.summary.skipped_steps) == (80, 1)
    assert ended.warnings[-1].startswith("1 of 80 steps were spikes")


def test_a_hung_collective_ends_the_attempt_and_the_next_goes_on_from_the_checkpoint(tmp_path: pathlib.Path) -> None:
    request = asked(tmp_path, processes_per_node=2, epochs=2.0, checkpoint_seconds=1, stall_seconds=5)
    process = start(request, log=tmp_path / "first.log")
    wait_for(lambda: max(checkpoints(request), default=0) >= 6, process)
    os.kill(process_of(request, rank=1), signal.SIGSTOP)
    assert process.wait(timeout=PATIENCE) == ExitCode.TRANSIENT, (tmp_path / "first.log").read_text()
    left = recorded(request)
    assert left.reason == "TrainingStalled"
    assert "has not ended after" in left.message
    process = start(request, log=tmp_path / "second.log")
    assert process.wait(timeout=PATIENCE) == ExitCode.OK, (tmp_path / "second.log").read_text()
    ended = recorded(request).summary
    assert ended is not None
    assert ended.resumed_step >= 6


@pytest.mark.parametrize(
    ("processes", "reason", "exit_code"),
    [
        ("started(0); started(1); ended(1, 'TrainingDiverged', 10)", "TrainingDiverged", ExitCode.DIVERGED),
        ("started(0); started(1); raise SystemExit(1)", "OutOfMemory", ExitCode.OUT_OF_MEMORY),
        ("started(0); started(1); said(0, 'PeerLost', 14); ended(1, 'OutOfMemory', 11)", "OutOfMemory", 11),
        ("started(0); started(1); said(0, 'InternalError', 1); ended(1, 'DataUnreadable', 2)", "DataUnreadable", 2),
        ("started(0); started(1); said(0, 'Preempted', 12); ended(1, 'InternalError', 1)", "InternalError", 1),
        ("started(0); started(1); ended(0, 'PeerLost', 14)", "OutOfMemory", ExitCode.OUT_OF_MEMORY),
        ("started(0); started(1); said(0, 'PeerLost', 14); ended(1, 'PeerLost', 14)", "PeerLost", 14),
    ],
)
def test_how_a_process_ends_is_how_the_stage_ends(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, processes: str, reason: str, exit_code: ExitCode
) -> None:
    pretend(monkeypatch, processes)
    with pytest.raises(StageError) as caught:
        launched(two_processes(tmp_path))
    assert (caught.value.reason, caught.value.exit_code) == (reason, exit_code)


_WAIT = "import time\nwhile not (exchange / 'stop').exists(): time.sleep(0.01)\n"
_STEP = 'at = pathlib.Path({position!r}); at.parent.mkdir(parents=True); at.write_text(\'{{"done": 1, "total": 9}}\')\n'


@pytest.mark.parametrize(("stepped", "kept"), [(False, "nothing of this attempt"), (True, "seen")])
def test_a_signal_asks_for_a_checkpoint_once_there_is_a_step_to_save(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, *, stepped: bool, kept: str
) -> None:
    request = two_processes(tmp_path)
    position = run_folders.of(request).position
    step = _STEP.format(position=str(position)) if stepped else ""
    pretend(monkeypatch, f"{step}started(0)\n{_WAIT}ended(0, 'Preempted', 12)")
    monkeypatch.setattr(signals, "requested", lambda: position.exists() or not stepped)
    with pytest.raises((StageError, signals.Preempted), match=kept):
        launcher.train(request.section, run_folders.of(request), builders.quiet(Stage.TRAIN))


def test_a_node_that_lost_another_one_leaves_the_cause_to_that_one(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    pretend(monkeypatch, "started(0); started(1); ended(0, 'PeerLost', 14)")
    with pytest.raises(StageError) as caught:
        launched(two_processes(tmp_path, nodes=2))
    assert caught.value.exit_code is ExitCode.PEER_LOST


def test_processes_that_never_begin_are_no_fault_of_the_memory(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, "raise SystemExit(1)")
    with pytest.raises(RuntimeError, match="before any training process began"):
        launched(two_processes(tmp_path))


def test_several_nodes_without_an_indexed_job_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(StageError, match="JOB_COMPLETION_INDEX is None"):
        launched(two_processes(tmp_path, nodes=2))


@pytest.mark.parametrize(
    ("processes", "nodes", "zero", "expected"), [(1, 1, 0, False), (2, 1, 0, True), (1, 2, 0, True), (1, 1, 2, False)]
)
def test_torchrun_starts_where_one_plain_cpu_process_does_not_do(
    tmp_path: pathlib.Path, processes: int, nodes: int, zero: int, *, expected: bool
) -> None:
    request = two_processes(tmp_path, processes_per_node=processes, nodes=nodes, zero_stage=zero)
    assert launcher.needed(request.section) == expected
