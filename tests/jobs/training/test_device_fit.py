"""The trainer recomputes activations where its GPU has no room for them, and not elsewhere."""

import pathlib
import types

import pytest
import torch

from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method
from modelrefresh_jobs.training import device_fit, step_plan
from modelrefresh_jobs.training.memory_fit import Fit
from tests.jobs import builders

GB = 10**9


def fit(folder: pathlib.Path, *, said: str | None = None) -> Fit | None:
    wanted = TrainInput(start="file:///x", method=Method.FULL, batch_size=1024, gpu_memory=said)
    return device_fit.of(wanted, builders.tiny_model(folder / "base"), step_plan.plan(wanted, blocks=4096), length=128)


@pytest.mark.parametrize(
    ("memory", "said", "recompute"), [(8 * GB, None, False), (5.4 * GB, None, True), (8 * GB, "5.4GB", True)]
)
def test_activations_are_recomputed_where_the_gpu_or_what_was_said_of_it_is_too_small(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, memory: float, said: str | None, *, recompute: bool
) -> None:
    device = types.SimpleNamespace(total_memory=int(memory))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: device)
    found = fit(tmp_path, said=said)
    assert found is not None
    assert found.fits
    assert (found.setting.recompute, found.setting.offload) == (recompute, False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="wants a machine without a GPU")
def test_on_cpus_nothing_is_chosen(tmp_path: pathlib.Path) -> None:
    assert fit(tmp_path) is None
