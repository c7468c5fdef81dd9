"""The trainer recomputes activations where its GPU has no room for them, and not elsewhere."""

import pathlib
import subprocess
import sys
import types

import pytest
import torch

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method
from modelrefresh_jobs.memory import devices
from modelrefresh_jobs.memory.needs import Setting
from modelrefresh_jobs.memory.ways import Fit
from modelrefresh_jobs.process import host_memory
from modelrefresh_jobs.process.errors import StageError
from tests.jobs import builders

GB = 10**9


def fit(folder: pathlib.Path, *, said: str | None = None, recomputes: bool = False) -> Fit | None:
    wanted = TrainInput(start="file:///x", method=Method.FULL, batch_size=1024, gpu_memory=said)
    asked = Setting(zero_stage=wanted.zero_stage, cards=1, batch_size=1024, sequence_length=128)
    return devices.fit(wanted, builders.tiny_model(folder / "base"), asked, recomputes=recomputes)


def pretend(monkeypatch: pytest.MonkeyPatch, *, memory: float, host: int = 64 * GB) -> None:
    """A GPU and a container of so many bytes."""
    monkeypatch.setattr(host_memory, "limit", lambda: host)
    device = types.SimpleNamespace(total_memory=int(memory))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: device)


@pytest.mark.parametrize(
    ("memory", "said", "recompute"), [(8 * GB, None, False), (5.4 * GB, None, True), (8 * GB, "5.4GB", True)]
)
def test_activations_are_recomputed_where_the_gpu_or_what_was_said_of_it_is_too_small(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, memory: float, said: str | None, *, recompute: bool
) -> None:
    pretend(monkeypatch, memory=memory)
    found = fit(tmp_path, said=said)
    assert found is not None
    assert found.fits
    assert (found.setting.recompute, found.setting.offload) == (recompute, False)


def test_activations_are_recomputed_where_an_attempt_before_had_no_room_for_them(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, memory=8 * GB)
    found = fit(tmp_path, recomputes=True)
    assert found is not None
    assert found.setting.recompute


@pytest.mark.parametrize(("host", "offload"), [(1, False), (10**6, True)])
def test_the_optimizer_goes_to_the_host_only_where_its_container_may_hold_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, host: int, *, offload: bool
) -> None:
    pretend(monkeypatch, memory=4.9 * GB, host=host)
    found = fit(tmp_path, recomputes=True)
    assert found is not None
    assert 0.9 < found.share < 1.1
    assert found.setting.offload is offload


def test_what_fits_neither_on_gpus_nor_with_the_host_is_refused_with_both_sizes(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, memory=3 * GB, host=1)
    with pytest.raises(StageError, match=r"3\.0 GB per GPU .* the host has no room either .* of 0\.0 GB") as caught:
        fit(tmp_path)
    assert (caught.value.reason, caught.value.exit_code) == ("OutOfMemory", ExitCode.OUT_OF_MEMORY)


@pytest.mark.skipif(torch.cuda.is_available(), reason="wants a machine without a GPU")
def test_on_cpus_nothing_is_chosen(tmp_path: pathlib.Path) -> None:
    assert fit(tmp_path) is None


_SAYS = """
import os, pathlib, sys
from modelrefresh_jobs.memory import devices
rank = int(os.environ["RANK"])
pathlib.Path(sys.argv[1], str(rank)).write_text(str(devices.smallest((80, 40)[rank], (3, 5)[rank])))
"""


def test_the_smallest_gpu_and_host_of_all_processes_decide(tmp_path: pathlib.Path) -> None:
    script = tmp_path / "says.py"
    script.write_text(_SAYS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    subprocess.run([*command, str(tmp_path)], env=builders.shell(), check=True)
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["[40, 3]", "[40, 3]"]
