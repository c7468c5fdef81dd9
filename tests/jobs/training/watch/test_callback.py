"""Checkpoints of several processes: none trains on before the seal has begun, and none outlives a run that diverged."""

import pathlib
import subprocess
import sys

from modelrefresh.contract.exit_codes import ExitCode
from tests.jobs import builders

PATIENCE = 240
"""Seconds for processes that import torch on a busy machine."""

_SAVE_TWICE = """
import pathlib, sys, time
from torch import distributed
from transformers import TrainerControl, TrainerState, TrainingArguments
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.training import checkpointing
from modelrefresh_jobs.training.watch import callback
root = pathlib.Path(sys.argv[1])
went_on = root / "went-on"
def slow(folder, *, at, parents):
    deadline = time.monotonic() + 2
    while at == 1 and time.monotonic() < deadline and not went_on.exists():
        time.sleep(0.01)
    (root / f"sealed-{at}-{'late' if at == 1 and went_on.exists() else 'in time'}").touch()
checkpointing.seal = slow
distributed.init_process_group("gloo", init_method=f"file://{root}/group", rank=int(sys.argv[2]), world_size=2)
first = distributed.get_rank() == 0
terms = callback.CallbackSettings(
    checkpoints=root, parents={}, position=root / "position", checkpoint_seconds=1, tokens=int, stop=bool
)
made = callback.CheckpointCallback(terms, Progress(stage="train"))
with made.sealer:
    for step in (1, 2):
        state = TrainerState(global_step=step, is_world_process_zero=first)
        made.on_save(TrainingArguments(output_dir=str(root), use_cpu=True), state, TrainerControl())
    if not first:
        went_on.touch()
"""

_DIVERGE = """
import pathlib, sys, threading
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.training import checkpointing
checkpointing.seal = lambda *_, **__: threading.Event().wait()
try:
    with checkpointing.Sealer(pathlib.Path(sys.argv[1]), parents={}) as sealer:
        sealer.begin(at=1)
        raise StageError(StageReason.TRAINING_DIVERGED, "step 2", exit_code=ExitCode.DIVERGED)
except StageError as error:
    sys.exit(error.exit_code)
"""


def begun(script: str, *words: object) -> "subprocess.Popen[bytes]":
    """A process of its own."""
    command = [sys.executable, "-c", script, *(str(word) for word in words)]
    return subprocess.Popen(command, env=builders.shell())


def test_no_process_goes_on_while_the_first_waits_for_the_seal_before(tmp_path: pathlib.Path) -> None:
    processes = [begun(_SAVE_TWICE, tmp_path, rank) for rank in (0, 1)]
    assert [process.wait(timeout=PATIENCE) for process in processes] == [0, 0]
    assert {path.name for path in tmp_path.glob("sealed-*")} == {"sealed-1-in time", "sealed-2-in time"}


def test_a_run_that_diverged_waits_for_no_seal(tmp_path: pathlib.Path) -> None:
    process = begun(_DIVERGE, tmp_path)
    try:
        assert process.wait(timeout=PATIENCE) == ExitCode.DIVERGED
    finally:
        process.kill()
