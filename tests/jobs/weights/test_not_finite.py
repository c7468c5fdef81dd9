"""A sum that is not finite names the tensor, and the part of the sum that brought the value."""

import pathlib

import pytest
import torch

from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.merge import AddedResidual
from modelrefresh.contract.vocabulary import Transfer
from modelrefresh_jobs.process.errors import StageError
from tests.jobs import builders
from tests.jobs.weights.merges import Merges

NORM = "model.norm.weight"


@pytest.fixture
def pair(tmp_path: pathlib.Path) -> builders.Pair:
    return builders.tiny_pair(tmp_path, dtype="float16")


@pytest.fixture
def merges(tmp_path: pathlib.Path, pair: builders.Pair) -> Merges:
    made = Merges(tmp_path / "ws")
    made.train(pair.trained)
    return made


def filled(value: float) -> dict[str, torch.Tensor]:
    """The last norm with the same weight throughout."""
    return {NORM: torch.full((32,), value, dtype=torch.float16)}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_of_an_added_residual_names_that_residual(pair: builders.Pair, merges: Merges, value: float) -> None:
    own = merges.extract(pair.base, pair.instruct)
    second, broken = merges.resealed(own, **filled(0.5)), merges.resealed(own, **filled(value))
    added = (AddedResidual(residual=second), AddedResidual(residual=broken))
    with pytest.raises(StageError, match=rf"model\.norm\.weight: infinite or not a number in .*{broken}; ") as caught:
        merges.merge(pair.base, own, added=added)
    assert caught.value.reason is StageReason.RESIDUAL_INCOMPATIBLE


def test_a_value_of_the_version_that_is_averaged_with_names_that_version(
    tmp_path: pathlib.Path, pair: builders.Pair, merges: Merges
) -> None:
    own = merges.extract(pair.base, pair.instruct)
    served = builders.disturbed(pair.instruct, tmp_path / "served", seed=5)
    builders.set_weights(served, **filled(float("nan")))
    with pytest.raises(StageError, match=r"model\.norm\.weight: infinite or not a number in .*/served") as caught:
        merges.merge(pair.base, own, previous=builders.uri(served), previous_share=0.5)
    assert caught.value.reason is StageReason.MODEL_UNREADABLE


def test_a_sum_of_several_that_exceeds_its_format_is_said_to(pair: builders.Pair, merges: Merges) -> None:
    own = merges.extract(pair.base, pair.instruct)
    large = AddedResidual(residual=merges.resealed(own, **filled(65_000)), scale=1.9)
    with pytest.raises(StageError, match=r"model\.norm\.weight: the sum exceeds F16.*lower .*scale"):
        merges.merge(pair.base, own, added=(large,))


def test_a_value_of_the_start_is_not_laid_to_training_or_residual(
    tmp_path: pathlib.Path, pair: builders.Pair, merges: Merges
) -> None:
    own = merges.extract(pair.base, pair.instruct)
    start = builders.disturbed(pair.base, tmp_path / "start", seed=6)
    builders.set_weights(start, **filled(float("nan")))
    merges.train(start)
    with pytest.raises(StageError, match=r"model\.norm\.weight: infinite or not a number in .*/start; ") as caught:
        merges.merge(start, own, transfer=Transfer.SAME_FAMILY)
    assert caught.value.reason is StageReason.MODEL_UNREADABLE
