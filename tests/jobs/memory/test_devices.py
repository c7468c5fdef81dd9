"""The trainer recomputes activations where its GPU has no room for them, and not elsewhere."""

import pathlib
import subprocess
import sys
import types

import pytest
import torch

from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method
from modelrefresh_jobs.memory import devices
from modelrefresh_jobs.memory.needs import Setting
from modelrefresh_jobs.memory.ways import Fit
from tests.jobs import builders

GB = 10**9


def fit(folder: pathlib.Path, *, said: str | None = None, recomputes: bool = False) -> Fit | None:
    wanted = TrainInput(start="file:///x", method=Method.FULL, batch_size=1024, gpu_memory=said)
    asked = Setting(zero_stage=wanted.zero_stage, cards=1, batch_size=1024, sequence_length=128)
    return devices.fit(wanted, builders.tiny_model(folder / "base"), asked, recomputes=recomputes)


def pretend(monkeypatch: pytest.MonkeyPatch, *, memory: float) -> None:
    """A GPU of so many bytes."""
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


@pytest.mark.skipif(torch.cuda.is_available(), reason="wants a machine without a GPU")
def test_on_cpus_nothing_is_chosen(tmp_path: pathlib.Path) -> None:
    assert fit(tmp_path) is None


_SAYS = """
import os, pathlib, sys
from modelrefresh_jobs.memory import devices
rank = int(os.environ["RANK"])
pathlib.Path(sys.argv[1], str(rank)).write_text(str(devices.smallest((80, 40)[rank])))
"""


def test_the_smallest_gpu_of_all_processes_decides(tmp_path: pathlib.Path) -> None:
    script = tmp_path / "says.py"
    script.write_text(_SAYS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    subprocess.run([*command, str(tmp_path)], env=builders.shell(), check=True)
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["40", "40"]
