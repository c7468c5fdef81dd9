"""Several residuals in one pass, factors of some tensors' own, and the average with the version that serves."""

import json
import pathlib

import pytest
import torch

from modelrefresh.contract import artifacts
from modelrefresh.contract.stages.import_ import ImportInput
from modelrefresh.contract.stages.merge import AddedResidual, TensorScale
from modelrefresh.contract.vocabulary import Stage, Strategy, Transfer
from modelrefresh_jobs.attempt import stage_module
from modelrefresh_jobs.process.errors import StageError
from tests.jobs import builders
from tests.jobs.weights.merges import Merges, exact


@pytest.fixture
def pair(tmp_path: pathlib.Path) -> builders.Pair:
    return builders.tiny_pair(tmp_path)


@pytest.fixture
def merges(tmp_path: pathlib.Path, pair: builders.Pair) -> Merges:
    made = Merges(tmp_path / "ws")
    made.train(pair.trained)
    return made


def instruct_too(pair: builders.Pair, folder: pathlib.Path, *, of: pathlib.Path, seed: int) -> pathlib.Path:
    """Another model that was tuned from one of the pair."""
    made = builders.disturbed(of, folder, seed=seed)
    if of == pair.base:
        builders.make_instruct(made)
    return made


def assert_is(version: pathlib.Path, wanted: dict[str, torch.Tensor]) -> None:
    found = exact(version)
    assert {name for name in wanted if not torch.allclose(found[name], wanted[name], rtol=0, atol=1e-6)} == set()


def test_residuals_of_one_base_are_added_with_their_own_factors(
    tmp_path: pathlib.Path, pair: builders.Pair, merges: Merges
) -> None:
    safe = instruct_too(pair, tmp_path / "safe", of=pair.base, seed=7)
    first, second = merges.extract(pair.base, pair.instruct), merges.extract(pair.base, safe)
    version = merges.merge(pair.base, first, scale=0.8, added=(AddedResidual(residual=second, scale=0.5),))
    base, instruct, trained, other = (exact(one) for one in (pair.base, pair.instruct, pair.trained, safe))
    assert_is(
        version,
        {n: trained[n] + 0.8 * (instruct[n] - base[n]) + 0.5 * (other[n] - base[n]) for n in base},
    )


def test_a_residual_of_the_instruct_model_may_be_added_to_it(
    tmp_path: pathlib.Path, pair: builders.Pair, merges: Merges
) -> None:
    tools = instruct_too(pair, tmp_path / "tools", of=pair.instruct, seed=8)
    first, second = merges.extract(pair.base, pair.instruct), merges.extract(pair.instruct, tools)
    version = merges.merge(pair.base, first, added=(AddedResidual(residual=second),))
    base, trained, last = (exact(one) for one in (pair.base, pair.trained, tools))
    assert_is(version, {n: trained[n] + last[n] - base[n] for n in base})


def test_a_residual_of_some_other_base_is_not_added(
    tmp_path: pathlib.Path, pair: builders.Pair, merges: Merges
) -> None:
    other = builders.tiny_pair(tmp_path / "other", dtype="float32")
    moved = builders.disturbed(other.base, tmp_path / "moved", seed=4)
    first, second = merges.extract(pair.base, pair.instruct), merges.extract(moved, other.instruct)
    with pytest.raises(StageError, match=r"was cut from a base with fingerprint .* by hand PLACE=SCALE=SameFamily"):
        merges.merge(pair.base, first, added=(AddedResidual(residual=second),))


def test_a_residual_of_some_other_base_is_added_where_it_is_transferred(
    tmp_path: pathlib.Path, pair: builders.Pair, merges: Merges
) -> None:
    moved = builders.disturbed(pair.base, tmp_path / "moved", seed=4)
    first, second = merges.extract(pair.base, pair.instruct), merges.extract(moved, pair.instruct)
    version = merges.merge(
        pair.base, first, added=(AddedResidual(residual=second, scale=0.5, transfer=Transfer.SAME_FAMILY),)
    )
    base, instruct, trained, far = (exact(one) for one in (pair.base, pair.instruct, pair.trained, moved))
    assert_is(version, {n: trained[n] + instruct[n] - base[n] + 0.5 * (instruct[n] - far[n]) for n in base})
    noted = json.loads((version / artifacts.PROVENANCE).read_text())
    assert noted["added"] == [{"residual": second, "scale": 0.5, "transfer": "SameFamily"}]


def test_a_damaged_residual_is_not_added(tmp_path: pathlib.Path, pair: builders.Pair, merges: Merges) -> None:
    safe = instruct_too(pair, tmp_path / "safe", of=pair.base, seed=7)
    first, second = merges.extract(pair.base, pair.instruct), merges.extract(pair.base, safe)
    shard = builders.workspace_of(merges.root).residual(second) / "model.safetensors"
    data = bytearray(shard.read_bytes())
    data[-3] ^= 1
    shard.write_bytes(data)
    with pytest.raises(StageError, match="make the InstructionResidual anew"):
        merges.merge(pair.base, first, added=(AddedResidual(residual=second),))


def test_the_first_pattern_that_a_tensor_matches_gives_its_factor(pair: builders.Pair, merges: Merges) -> None:
    scales = (TensorScale(tensors="*.0.mlp.*", scale=0.0), TensorScale(tensors="*.mlp.*", scale=0.5))
    version = merges.merge(pair.base, merges.extract(pair.base, pair.instruct), scales=scales)
    base, instruct, trained = (exact(one) for one in (pair.base, pair.instruct, pair.trained))

    def factor(name: str) -> float:
        return (0.0 if ".0." in name else 0.5) if ".mlp." in name else 1.0

    assert_is(version, {n: trained[n] + factor(n) * (instruct[n] - base[n]) for n in base})


def test_a_pattern_that_no_tensor_matches_is_refused_with_names_that_there_are(
    pair: builders.Pair, merges: Merges
) -> None:
    residual = merges.extract(pair.base, pair.instruct)
    with pytest.raises(StageError, match=r"no tensor of .* matches \*\.moe\.\*; expected .*lm_head\.weight"):
        merges.merge(pair.base, residual, scales=(TensorScale(tensors="*.moe.*", scale=0.5),))


def test_a_pattern_that_decides_no_tensor_is_refused_with_those_before_it(pair: builders.Pair, merges: Merges) -> None:
    names = ("*.0.mlp.*", "*.1.*", "*.mlp.*", "*.norm.*")
    residual, scales = merges.extract(pair.base, pair.instruct), tuple(TensorScale(tensors=n, scale=0.5) for n in names)
    message = (
        r"residual\.scales .*\*\.mlp\.\* decides no tensor.*earlier patterns \*\.0\.mlp\.\*, \*\.1\.\*; .*before them"
    )
    with pytest.raises(StageError, match=message):
        merges.merge(pair.base, residual, scales=scales)


@pytest.mark.parametrize(("patterns", "warned"), [(("*.mlp.*",), False), (("*.mlp.*", "*"), True)])
def test_patterns_that_leave_no_tensor_to_the_factor_are_told(
    pair: builders.Pair, merges: Merges, patterns: tuple[str, ...], *, warned: bool
) -> None:
    said, scales = builders.quiet(Stage.MERGE), tuple(TensorScale(tensors=one, scale=0.5) for one in patterns)
    merges.merge(pair.base, merges.extract(pair.base, pair.instruct), scales=scales, progress=said)
    assert any("match every tensor" in text for text in said.warnings) == warned


@pytest.mark.parametrize("strategy", list(Strategy))
def test_the_average_holds_its_share_of_the_version_before(
    pair: builders.Pair, merges: Merges, strategy: Strategy
) -> None:
    residual = merges.extract(pair.base, pair.instruct)
    start = pair.base if strategy is Strategy.RESIDUAL else pair.instruct
    if strategy is Strategy.DIRECT:
        merges.train(builders.disturbed(pair.instruct, pair.base.parent / "tuned", seed=11))
    before = merges.merge(start, residual, strategy=strategy)
    version = merges.merge(start, residual, strategy=strategy, scale=1.0, previous=before.name, previous_share=0.25)
    assert_is(version, exact(before))
    further = merges.merge(start, residual, strategy=strategy, previous=stock(merges, pair), previous_share=0.25)
    sums, served = exact(before), exact(pair.instruct)
    assert_is(further, {n: 0.75 * sums[n] + 0.25 * served[n] for n in sums})


def stock(merges: Merges, pair: builders.Pair) -> str:
    """Digest of the instruct model as a version."""
    wanted = ImportInput(instruct=builders.uri(pair.instruct))
    request = builders.request(merges.root, Stage.IMPORT, section=wanted)
    return str(stage_module.run(request, builders.quiet(Stage.IMPORT)).digest)


def test_a_version_of_another_shape_is_not_averaged_with(
    tmp_path: pathlib.Path, pair: builders.Pair, merges: Merges
) -> None:
    other = builders.tiny_pair(tmp_path / "other", arch=builders.QWEN2)
    residual = merges.extract(pair.base, pair.instruct)
    with pytest.raises(
        StageError, match=r"architecture: start Llama.*previous Qwen2.*leave out spec\.average \(by hand --previous\)"
    ):
        merges.merge(pair.base, residual, previous=stock(merges, other), previous_share=0.3)


def test_a_residual_is_not_averaged_with(pair: builders.Pair, merges: Merges) -> None:
    residual = merges.extract(pair.base, pair.instruct)
    folder = builders.workspace_of(merges.root).residual(residual)
    with pytest.raises(StageError, match=rf"{residual}: a stored residual; expected a model's folder to average with"):
        merges.merge(pair.base, residual, previous=builders.uri(folder), previous_share=0.3)
