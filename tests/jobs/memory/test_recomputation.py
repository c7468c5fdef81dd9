"""What an attempt that ran out of memory teaches the next one, and what a run begun by an older release needs."""

import pathlib

import pytest
import torch

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method, Stage
from modelrefresh_jobs.memory import recomputation
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import run_folders
from modelrefresh_jobs.storage.run_folders import RunFolders
from tests.jobs import builders


@pytest.fixture
def folders(tmp_path: pathlib.Path) -> RunFolders:
    wanted = TrainInput(start="file:///x", method=Method.FULL)
    made = run_folders.of(builders.request(tmp_path, Stage.TRAIN, section=wanted))
    made.scratch(Stage.TRAIN).mkdir(parents=True, exist_ok=True)
    return made


def test_a_run_that_keeps_activations_keeps_them_when_it_goes_on(folders: RunFolders) -> None:
    assert not recomputation.is_forced(folders)
    with recomputation.learning(folders, kept=True):
        (folders.checkpoints / "checkpoint-3").mkdir(parents=True)
    assert not recomputation.is_forced(folders)


def test_a_run_with_checkpoints_of_an_older_release_recomputes(folders: RunFolders) -> None:
    (folders.checkpoints / "checkpoint-3").mkdir(parents=True)
    assert recomputation.is_forced(folders)


def test_after_memory_ran_out_the_next_attempt_recomputes_and_is_the_last(folders: RunFolders) -> None:
    with pytest.raises(StageError, match="the next attempt computes them again") as caught:
        _run_out(folders, kept=True)
    assert (caught.value.reason, caught.value.exit_code) == ("OutOfMemory", ExitCode.TRANSIENT)
    assert recomputation.is_forced(folders)
    with pytest.raises(torch.OutOfMemoryError):
        _run_out(folders, kept=False)


def _run_out(folders: RunFolders, *, kept: bool) -> None:
    with recomputation.learning(folders, kept=kept):
        raise torch.OutOfMemoryError("CUDA out of memory")
