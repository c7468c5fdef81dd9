"""Stages learn of the memory of GPUs from the profile, where GPUs are asked for."""

import dataclasses

import pytest

from modelrefresh.contract.stages.prepare import PrepareInput
from modelrefresh.plan import prerequisites
from modelrefresh.plan.stages import prepare
from tests.plan import sights


@pytest.mark.parametrize(("gpus", "memory", "asked"), [(2, "80Gi", "80Gi"), (2, None, None), (0, "80Gi", None)])
def test_training_is_asked_to_fit_where_gpus_and_their_memory_are_known(
    gpus: int, memory: str | None, asked: str | None
) -> None:
    sight = sights.a_sight({"spec.training": {"gpusPerNode": gpus}})
    assert sight.profile is not None
    sight = dataclasses.replace(sight, profile=sight.profile.model_copy(update={"gpu_memory": memory}))
    wanted = prepare.STAGE.ask(prerequisites.ready(sight), sights.a_run())
    assert isinstance(wanted, PrepareInput)
    assert wanted.train is not None
    assert wanted.train.gpu_memory == asked
