"""Instruct models with more or fewer rows of embeddings than their base: tokens of their own, padding that differs."""

import pathlib

import pytest
import safetensors.torch
import torch
import transformers

from modelrefresh.contract.stages.merge import AddedResidual
from modelrefresh.contract.stages.prepare import PrepareInput
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method, Stage, Strategy, Transfer
from modelrefresh_jobs.attempt import stage_module
from modelrefresh_jobs.models import model_folder
from modelrefresh_jobs.process.errors import StageError
from tests.jobs import builders, corpora
from tests.jobs.weights.merges import Merges, exact

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
MORE, FEWER = builders.VOCABULARY + 64, builders.VOCABULARY - 8
TABLES = (model_folder.EMBEDDING, model_folder.HEAD)


def with_rows(folder: pathlib.Path, rows: int) -> pathlib.Path:
    """Give a model this many rows, new ones of their own."""
    stored = safetensors.torch.load_file(folder / "model.safetensors")
    for name in {*TABLES} & {*stored}:
        new = torch.randn(rows, stored[name].shape[1], generator=torch.Generator().manual_seed(rows))
        new[: stored[name].shape[0]] = stored[name][:rows].float()
        builders.set_weights(folder, **{name: new.to(stored[name].dtype)})
    builders.edit_json(folder / "config.json", vocab_size=rows)
    return folder


def pair_of(root: pathlib.Path, rows: int, **also: str) -> builders.Pair:
    pair = builders.tiny_pair(root / "models", **also)
    with_rows(pair.instruct, rows)
    return pair


@pytest.fixture
def merges(tmp_path: pathlib.Path) -> Merges:
    return Merges(tmp_path / "ws")


@pytest.mark.parametrize("arch", [builders.LLAMA, builders.QWEN2])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("rows", [MORE, FEWER])
def test_without_training_it_is_the_instruct_model_bit_for_bit(
    tmp_path: pathlib.Path, merges: Merges, arch: str, dtype: str, rows: int
) -> None:
    pair = pair_of(tmp_path, rows, arch=arch, dtype=dtype)
    merges.train(pair.base)
    version = merges.merge(pair.base, merges.extract(pair.base, pair.instruct))
    assert builders.weights(version) == builders.weights(pair.instruct)
    assert model_folder.read_json(version / "config.json")["vocab_size"] == rows
    assert transformers.AutoModelForCausalLM.from_pretrained(version).get_input_embeddings().weight.shape[0] == rows


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_rows_that_only_the_instruct_model_has_are_its_own_at_any_scale(
    tmp_path: pathlib.Path, merges: Merges, scale: float
) -> None:
    pair = pair_of(tmp_path, MORE)
    merges.train(pair.trained)
    version = exact(merges.merge(pair.base, merges.extract(pair.base, pair.instruct), scale=scale))
    base, instruct, trained = (exact(folder) for folder in (pair.base, pair.instruct, pair.trained))
    for name in TABLES:
        known = base[name].shape[0]
        assert torch.equal(version[name][known:], instruct[name][known:])
        sums = trained[name] + scale * (instruct[name][:known] - base[name])
        assert torch.equal(version[name][:known], sums.float().double())


def test_the_base_is_known_by_its_own_weights(tmp_path: pathlib.Path, merges: Merges) -> None:
    pair = pair_of(tmp_path, FEWER)
    residual = merges.extract(pair.base, pair.instruct)
    stored = model_folder.read_json(builders.workspace_of(merges.root).residual(residual) / "residual.json")
    assert stored["base_fingerprint"] == model_folder.fingerprint(pair.base)
    assert stored["instruct_fingerprint"] == model_folder.fingerprint(pair.instruct)


@pytest.mark.parametrize("rows", [MORE, FEWER])
@pytest.mark.parametrize("arch", [builders.LLAMA, builders.QWEN2])
def test_a_run_that_trains_embeddings_beside_an_adapter_goes_through(
    tmp_path: pathlib.Path, merges: Merges, arch: str, rows: int
) -> None:
    pair = pair_of(tmp_path, rows, arch=arch)
    residual = merges.extract(pair.base, pair.instruct)
    train = TrainInput(
        start=builders.uri(pair.base),
        method=Method.LORA,
        learning_rate=1e-2,
        sequence_length=32,
        batch_size=4,
        epochs=0.3,
        lora_rank=2,
        lora_embeddings=True,
    )
    data = corpora.texts(tmp_path / "data" / "a.jsonl", corpora.sentences(30))
    prepare = PrepareInput(
        base=train.start,
        data=f"file://{data}",
        residual=residual,
        sequence_length=32,
        max_tokens=1_000_000,
        train=train,
    )
    for stage, section in ((Stage.PREPARE, prepare), (Stage.TRAIN, train)):
        stage_module.run(builders.request(merges.root, stage, section=section), builders.quiet(stage))
    version, instruct = exact(merges.merge(pair.base, residual)), exact(pair.instruct)
    table = model_folder.EMBEDDING
    assert version[table].shape == instruct[table].shape
    assert torch.equal(version[table][builders.VOCABULARY :], instruct[table][builders.VOCABULARY :])
    assert not torch.equal(version[table], instruct[table])


def test_a_transferred_residual_brings_its_rows_to_a_base_with_as_many_tokens(
    tmp_path: pathlib.Path, merges: Merges
) -> None:
    pair = pair_of(tmp_path, MORE)
    merges.train(pair.trained)
    residual = merges.extract(pair.base, pair.instruct)
    version = exact(merges.merge(pair.trained, residual, transfer=Transfer.SAME_FAMILY, scale=0.5))
    instruct = exact(pair.instruct)
    for name in TABLES:
        assert torch.equal(version[name][builders.VOCABULARY :], instruct[name][builders.VOCABULARY :])


def test_a_transferred_residual_is_refused_by_a_base_with_another_number_of_tokens(
    tmp_path: pathlib.Path, merges: Merges
) -> None:
    pair = pair_of(tmp_path, MORE)
    residual = merges.extract(pair.base, pair.instruct)
    merges.train(with_rows(pair.trained, MORE))
    with pytest.raises(StageError, match=rf"a base of {builders.VOCABULARY} tokens, .* has {MORE}") as caught:
        merges.merge(pair.trained, residual, transfer=Transfer.SAME_FAMILY)
    assert caught.value.reason == "ResidualIncompatible"


def test_a_residual_of_the_base_is_added_beside_one_that_brings_tokens_and_not_the_other_way_round(
    tmp_path: pathlib.Path, merges: Merges
) -> None:
    pair = pair_of(tmp_path, MORE)
    safe = builders.disturbed(pair.base, tmp_path / "safe", seed=9)
    builders.make_instruct(safe)
    grows, plain = merges.extract(pair.base, pair.instruct), merges.extract(pair.base, safe)
    merges.train(pair.base)
    version = exact(merges.merge(pair.base, grows, added=(AddedResidual(residual=plain, scale=1.0),)))
    assert torch.equal(
        version[TABLES[0]][builders.VOCABULARY :], exact(pair.instruct)[TABLES[0]][builders.VOCABULARY :]
    )
    with pytest.raises(StageError, match=rf"changes the number of tokens, from {builders.VOCABULARY} to {MORE}"):
        merges.merge(pair.base, plain, added=(AddedResidual(residual=grows, scale=1.0),))


def test_with_direct_the_trained_instruct_model_keeps_its_rows(tmp_path: pathlib.Path, merges: Merges) -> None:
    pair = pair_of(tmp_path, MORE)
    trained = builders.disturbed(pair.instruct, tmp_path / "tuned", seed=8)
    merges.train(trained)
    residual = merges.extract(pair.base, pair.instruct)
    version = merges.merge(pair.instruct, residual, strategy=Strategy.DIRECT)
    assert builders.weights(version) == builders.weights(trained)


def test_a_vocabulary_that_is_not_the_number_of_rows_is_refused(tmp_path: pathlib.Path, merges: Merges) -> None:
    pair = pair_of(tmp_path, MORE)
    builders.edit_json(pair.instruct / "config.json", vocab_size=MORE + 1)
    with pytest.raises(
        StageError, match=rf"vocab_size: instruct {MORE + 1}, but model.embed_tokens.weight is \[{MORE}"
    ):
        merges.extract(pair.base, pair.instruct)


def test_what_is_added_or_averaged_counts_in_the_rows_that_only_the_instruct_model_has(
    tmp_path: pathlib.Path, merges: Merges
) -> None:
    pair = pair_of(tmp_path, MORE)
    tools = builders.disturbed(pair.instruct, tmp_path / "tools", seed=17)
    merges.train(pair.trained)
    residual, skill = merges.extract(pair.base, pair.instruct), merges.extract(pair.instruct, tools)
    version = exact(
        merges.merge(
            pair.base,
            residual,
            scale=0.5,
            added=(AddedResidual(residual=skill, scale=0.5),),
            previous=builders.uri(tools),
            previous_share=0.25,
        )
    )
    instruct, skilled = exact(pair.instruct), exact(tools)
    for name in TABLES:
        known = exact(pair.base)[name].shape[0]
        sums = instruct[name] + 0.5 * (skilled[name] - instruct[name])
        wanted = (0.75 * sums + 0.25 * skilled[name])[known:]
        assert torch.allclose(version[name][known:], wanted, rtol=0, atol=1e-6)


def test_a_version_of_another_number_of_rows_is_not_averaged_with(tmp_path: pathlib.Path, merges: Merges) -> None:
    pair = pair_of(tmp_path, MORE)
    merges.train(pair.trained)
    residual = merges.extract(pair.base, pair.instruct)
    message = rf"{builders.VOCABULARY} rows of embeddings; expected {MORE}, as many as the residual's instruct model"
    with pytest.raises(StageError, match=message) as caught:
        merges.merge(pair.base, residual, previous=builders.uri(pair.base), previous_share=0.25)
    assert "other shapes" not in str(caught.value)
