"""From a request to exit code, result file and termination message, as in a pod and by hand."""

import errno
import json
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import safetensors
import torch
import torch.distributed

from modelrefresh.contract import codec, result, stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.stages.extract import ExtractInput
from modelrefresh.contract.stages.merge import MergeInput
from modelrefresh.contract.stages.sweep import SweepInput
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.attempt import in_pod, record
from modelrefresh_jobs.process import classification, progress, signals
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.stages import extract
from modelrefresh_jobs.storage import sealed
from tests.jobs import builders

ROOT = pathlib.Path(__file__).parents[3]
FULL = "No space left on device (os error 28)"
"""As safetensors says it."""
TORCH_FULL = "[enforce fail at inline_container.cc:671] . unexpected pos 1088 vs 976"
"""As torch.save says it."""


@pytest.fixture(autouse=True)
def pod(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv(record.TERMINATION_VARIABLE, str(tmp_path / "termination-log"))
    monkeypatch.setattr(progress, "serve", lambda *_, **__: None)


def extraction(root: pathlib.Path, pair: builders.Pair) -> stage_request.StageRequest:
    wanted = ExtractInput(base=builders.uri(pair.base), instruct=builders.uri(pair.instruct))
    return builders.request(root / "ws", Stage.EXTRACT, section=wanted)


def announced(root: pathlib.Path) -> result.Result:
    return result.parse((root / "termination-log").read_text())


def leave(request: stage_request.StageRequest, stage: Stage, name: str, text: str) -> None:
    """A sealed folder of this content, as another stage of the same run leaves it."""
    folder = builders.workspace_of(pathlib.Path(request.workspace)).stage(request.owner, request.run, stage)
    with sealed.draft(folder, kind="any", label=name) as made:
        (made.path / "file").write_text(text)
        sealed.seal(made, target=folder / name)


@pytest.mark.parametrize(
    ("error", "exit_code", "reason"),
    [
        (StageError("NoData", "none"), ExitCode.BAD_INPUT, "NoData"),
        (codec.CodecError("stage: missing"), ExitCode.BAD_INPUT, "InputInvalid"),
        (MemoryError(), ExitCode.OUT_OF_MEMORY, "OutOfMemory"),
        (torch.OutOfMemoryError("CUDA out of memory"), ExitCode.OUT_OF_MEMORY, "OutOfMemory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), ExitCode.OUT_OF_MEMORY, "OutOfMemory"),
        (OSError(errno.ENOSPC, "No space left"), ExitCode.TRANSIENT, "InsufficientStorage"),
        (
            safetensors.SafetensorError(f"I/O error: {FULL}"),
            ExitCode.TRANSIENT,
            "InsufficientStorage",
        ),
        (RuntimeError(TORCH_FULL), ExitCode.TRANSIENT, "InsufficientStorage"),
        (OSError(errno.EROFS, "Read-only"), ExitCode.TRANSIENT, "InsufficientStorage"),
        (PermissionError(errno.EACCES, "Permission denied"), ExitCode.BAD_INPUT, "SourceUnavailable"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), ExitCode.TRANSIENT, "SourceUnavailable"),
        (signals.Preempted(), ExitCode.PREEMPTED, "Preempted"),
        (KeyboardInterrupt(), ExitCode.PREEMPTED, "Preempted"),
        (KeyError("x"), ExitCode.INTERNAL, "InternalError"),
        (
            RuntimeError("[gloo/gloo/transport/tcp/pair.cc:538] Connection closed by peer"),
            ExitCode.PEER_LOST,
            "PeerLost",
        ),
        (torch.distributed.DistNetworkError("The client socket has timed out"), ExitCode.PEER_LOST, "PeerLost"),
        (torch.distributed.DistBackendError("ncclRemoteError: A call failed"), ExitCode.PEER_LOST, "PeerLost"),
        (torch.distributed.DistBackendError("Duplicate GPU detected"), ExitCode.INTERNAL, "InternalError"),
    ],
)
def test_whatever_ends_a_stage_has_an_exit_code_and_a_reason(
    error: BaseException, exit_code: ExitCode, reason: str
) -> None:
    failure = classification.classify(error)
    assert (failure.exit_code, failure.reason) == (exit_code, reason)


def test_a_finished_stage_leaves_the_same_result_twice(tmp_path: pathlib.Path) -> None:
    request = extraction(tmp_path, builders.tiny_pair(tmp_path))
    ended = in_pod.attempt(request)
    assert ended.exit_code is ExitCode.OK
    stored = builders.workspace_of(tmp_path / "ws").stage("chat", "r1", Stage.EXTRACT) / "result.json"
    assert result.parse(stored.read_text()) == ended == announced(tmp_path)


def test_running_a_finished_stage_again_does_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = extraction(tmp_path, builders.tiny_pair(tmp_path))
    first = in_pod.attempt(request)
    monkeypatch.setattr(extract, "run", lambda *_: pytest.fail("it ran again"))
    assert in_pod.attempt(request) == first


def test_a_finished_stage_runs_again_for_another_request_or_a_lost_artifact(tmp_path: pathlib.Path) -> None:
    pair = builders.tiny_pair(tmp_path)
    first = in_pod.attempt(extraction(tmp_path, pair))
    assert first.summary is not None
    other = builders.Pair(base=pair.base, instruct=pair.trained, trained=pair.trained)
    second = in_pod.attempt(extraction(tmp_path, other))
    assert second.summary is not None
    assert second.summary.digest != first.summary.digest
    folder = builders.workspace_of(tmp_path / "ws").residual(second.summary.digest)
    (folder / "manifest.json").unlink()
    assert in_pod.attempt(extraction(tmp_path, other)) == second
    assert sealed.is_sealed(folder)


def test_a_record_of_success_that_says_nothing_is_none(tmp_path: pathlib.Path) -> None:
    request = extraction(tmp_path, builders.tiny_pair(tmp_path / "models"))
    record.begin(request)
    record.write(request, result.Result(stage=Stage.EXTRACT, run="r1", attempt=1, exit_code=ExitCode.OK))
    assert in_pod.attempt(request).summary is not None


@pytest.mark.parametrize(
    ("stage", "section", "before", "name"),
    [
        (
            Stage.TRAIN,
            TrainInput(start="file:///x", learning_rate=1.0),
            Stage.PREPARE,
            "blocks",
        ),
        (
            Stage.MERGE,
            MergeInput(start="file:///x", residual="0" * 64),
            Stage.TRAIN,
            "model",
        ),
    ],
)
def test_a_result_stands_only_for_what_the_stage_before_left_then(
    tmp_path: pathlib.Path,
    stage: Stage,
    section: object,
    before: Stage,
    name: str,
) -> None:
    request = builders.request(tmp_path, stage, section)
    leave(request, before, name, "first")
    record.write(request, result.Result(stage=stage, run="r1", attempt=1, exit_code=ExitCode.OK))
    assert record.earlier(request) is not None
    leave(request, before, name, "second")
    assert record.earlier(request) is None


def test_a_refused_input_says_why_in_result_and_termination_message(tmp_path: pathlib.Path) -> None:
    pair = builders.Pair(base=tmp_path / "none", instruct=tmp_path / "none", trained=tmp_path)
    ended = in_pod.attempt(extraction(tmp_path, pair))
    assert (ended.exit_code, ended.reason) == (ExitCode.BAD_INPUT, "ModelUnreadable")
    assert "does not exist" in announced(tmp_path).message


def test_a_fault_of_ours_is_an_internal_error_with_its_type(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "run", lambda *_: os.environ["MISSING"])
    ended = in_pod.attempt(extraction(tmp_path, builders.Pair(base=tmp_path, instruct=tmp_path, trained=tmp_path)))
    assert (ended.exit_code, ended.reason) == (ExitCode.INTERNAL, "InternalError")
    assert "KeyError" in ended.message


def test_a_workspace_that_cannot_be_written_still_gets_a_termination_message(tmp_path: pathlib.Path) -> None:
    (tmp_path / "ws").write_text("not a folder")
    pair = builders.Pair(base=tmp_path, instruct=tmp_path, trained=tmp_path)
    assert in_pod.attempt(extraction(tmp_path, pair)) == announced(tmp_path)


@pytest.fixture
def signalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The stage's handlers, for the time of one test."""
    monkeypatch.setattr(signals, "_STATE", signals._State())  # noqa: SLF001 -- one per process otherwise
    before = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    signals.install()
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.mark.usefixtures("signalled")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_interrupts_a_stage_unless_it_defers(number: signal.Signals) -> None:
    called: list[bool] = []
    with signals.deferred(lambda: called.append(True)):
        signal.raise_signal(number)
        assert signals.requested()
    with pytest.raises(signals.Preempted, match=number.name):
        signal.raise_signal(number)
    assert called == [True]


@pytest.mark.usefixtures("signalled")
def test_only_a_second_interrupt_does_not_wait() -> None:
    with signals.deferred():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(signals.Preempted):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("signalled")
def test_who_asked_to_outlive_the_terminal_does() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals.install()
    signal.raise_signal(signal.SIGHUP)
    assert not signals.requested()


def python(*words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = builders.shell() | variables
    command = [sys.executable, "-m", "modelrefresh_jobs", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_a_pod_runs_its_stage_from_the_environment_without_torch(tmp_path: pathlib.Path) -> None:
    request = extraction(tmp_path, builders.tiny_pair(tmp_path))
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    paths = f"{blocked}:{ROOT / 'operator'}:{ROOT / 'images' / 'jobs'}"
    ran = python("extract", MODELREFRESH_INPUT=stage_request.render(request), PYTHONPATH=paths)
    assert ran.returncode == 0, ran.stderr
    assert announced(tmp_path).summary is not None


def test_an_input_of_another_version_is_refused_as_such(tmp_path: pathlib.Path) -> None:
    request = extraction(tmp_path, builders.Pair(base=tmp_path, instruct=tmp_path, trained=tmp_path))
    document = json.loads(stage_request.render(request)) | {"of_tomorrow": 1}
    ran = python("extract", MODELREFRESH_INPUT=json.dumps(document))
    assert ran.returncode == ExitCode.BAD_INPUT
    assert "unknown keys ['of_tomorrow']" in ran.stderr
    assert announced(tmp_path).reason == "InputInvalid"


def test_a_sweep_makes_room_where_there_is_none_for_its_own_folder(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "ws" / "versions" / ("7" * 64)
    old.mkdir(parents=True)
    (old / "model.safetensors").write_bytes(b"x" * 100)
    request = builders.request(tmp_path / "ws", Stage.SWEEP, section=SweepInput(versions=("7" * 64,)))
    make = pathlib.Path.mkdir

    def mkdir(path: pathlib.Path, *arguments: object, **options: object) -> None:
        if old.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        make(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(pathlib.Path, "mkdir", mkdir)
    ended = in_pod.attempt(request)
    assert (ended.exit_code, old.exists()) == (ExitCode.OK, False)
