"""A residual of one release on another base of its family: the same sum, the base's positions, refusals by name."""

import dataclasses
import json
import pathlib

import pytest
import safetensors.torch
import torch
import transformers

from modelrefresh.contract import artifacts
from modelrefresh.contract.stages.import_ import ImportInput
from modelrefresh.contract.stages.merge import AddedResidual, MergeInput
from modelrefresh.contract.vocabulary import Stage, Transfer
from modelrefresh_jobs.attempt import stage_module
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.stages import import_
from modelrefresh_jobs.storage import run_folders, sealed
from tests.jobs import builders
from tests.jobs.weights.merges import Merges, exact

SCALED = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}


@pytest.fixture
def pair(tmp_path: pathlib.Path) -> builders.Pair:
    """The release that the residual is of."""
    return builders.tiny_pair(tmp_path / "newer", dtype="bfloat16")


@pytest.fixture
def older(tmp_path: pathlib.Path, pair: builders.Pair) -> pathlib.Path:
    """The base of the release before, which differs by further training."""
    return builders.disturbed(pair.base, tmp_path / "older", seed=21)


@pytest.fixture
def merges(tmp_path: pathlib.Path, older: pathlib.Path) -> Merges:
    made = Merges(tmp_path / "ws")
    made.train(builders.disturbed(older, tmp_path / "trained", seed=22))
    return made


def configured(folder: pathlib.Path, **changes: object) -> pathlib.Path:
    builders.edit_json(folder / "config.json", **changes)
    return folder


def transferred(
    merges: Merges, pair: builders.Pair, start: pathlib.Path, *, progress: Progress | None = None
) -> pathlib.Path:
    residual = merges.extract(pair.base, pair.instruct)
    return merges.merge(start, residual, transfer=Transfer.SAME_FAMILY, progress=progress)


def test_the_candidate_is_the_trained_base_and_the_other_releases_residual(
    tmp_path: pathlib.Path, pair: builders.Pair, older: pathlib.Path, merges: Merges
) -> None:
    version = transferred(merges, pair, older)
    base, instruct, trained = (exact(one) for one in (pair.base, pair.instruct, tmp_path / "trained"))
    for name, value in exact(version).items():
        step = (instruct[name] - base[name]).bfloat16().double()
        assert torch.equal(value, (trained[name] + step).bfloat16().double()), name


def test_without_the_word_another_base_is_refused(pair: builders.Pair, older: pathlib.Path, merges: Merges) -> None:
    residual = merges.extract(pair.base, pair.instruct)
    with pytest.raises(StageError, match=r"has fingerprint .* was cut from base.* by hand --transfer SameFamily"):
        merges.merge(older, residual)


def test_on_its_own_base_a_transferred_residual_gives_the_instruct_model_back_bit_for_bit(
    pair: builders.Pair, merges: Merges
) -> None:
    far = {name: value * 3 for name, value in safetensors.torch.load_file(pair.instruct / "model.safetensors").items()}
    builders.set_weights(pair.instruct, **far)
    merges.train(pair.base)
    version = transferred(merges, pair, pair.base)
    assert builders.weights(version) == builders.weights(pair.instruct)
    assert not json.loads((version / artifacts.PROVENANCE).read_text()).get("transferred")


def test_its_own_base_under_a_configuration_of_other_positions_keeps_them(pair: builders.Pair, merges: Merges) -> None:
    residual = merges.extract(pair.base, pair.instruct)
    merges.train(configured(pair.base, rope_parameters=SCALED))
    version = merges.merge(pair.base, residual, transfer=Transfer.SAME_FAMILY)
    assert json.loads((version / "config.json").read_text())["rope_parameters"]["rope_type"] == "linear"


def test_a_base_in_another_number_format_keeps_it(tmp_path: pathlib.Path, pair: builders.Pair, merges: Merges) -> None:
    single = builders.tiny_model(tmp_path / "single", arch=builders.LLAMA, dtype="float32", seed=31)
    merges.train(builders.disturbed(single, tmp_path / "single-trained", seed=32))
    version = transferred(merges, pair, single)
    base, instruct, trained = (exact(one) for one in (pair.base, pair.instruct, tmp_path / "single-trained"))
    for name, value in exact(version).items():
        step = (instruct[name] - base[name]).bfloat16().double()
        assert torch.equal(value, (trained[name] + step).float().double()), name
    assert json.loads((version / "config.json").read_text())["dtype"] == "float32"


def test_of_a_residual_whose_formats_differ_the_base_s_is_written(
    pair: builders.Pair, older: pathlib.Path, merges: Merges
) -> None:
    name = "model.norm.weight"
    builders.set_weights(pair.instruct, **{name: torch.ones(32, dtype=torch.float32)})
    written = safetensors.torch.load_file(transferred(merges, pair, older) / "model.safetensors")
    assert {value.dtype for value in written.values()} == {torch.bfloat16}


def test_another_family_is_refused_with_both_named(tmp_path: pathlib.Path, pair: builders.Pair, merges: Merges) -> None:
    qwen = builders.tiny_model(tmp_path / "qwen", arch=builders.QWEN2, dtype="bfloat16", seed=1)
    merges.train(qwen)
    with pytest.raises(StageError, match=r"another family: LlamaForCausalLM \(residual .* against Qwen2ForCausalLM"):
        transferred(merges, pair, qwen)


def test_positions_that_differ_are_told_and_stay_those_of_the_base(
    pair: builders.Pair, older: pathlib.Path, merges: Merges
) -> None:
    for folder in (pair.base, pair.instruct):
        configured(folder, rope_parameters=SCALED, max_position_embeddings=512)
    said = builders.quiet(Stage.MERGE)
    version = transferred(merges, pair, older, progress=said)
    config = json.loads((version / "config.json").read_text())
    assert config["max_position_embeddings"] == 128
    assert config["rope_parameters"]["rope_type"] == "default"
    assert [text for text in said.warnings if "rope: start" in text and "max_position_embeddings: start 128" in text]


def test_the_candidate_loads_and_answers_like_an_instruct_model(
    pair: builders.Pair, older: pathlib.Path, merges: Merges
) -> None:
    configured(pair.instruct, rope_parameters=SCALED)
    configured(pair.base, rope_parameters=SCALED)
    version = transferred(merges, pair, older)
    model, loading = transformers.AutoModelForCausalLM.from_pretrained(version, output_loading_info=True)
    assert not any(loading[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.generation_config.eos_token_id == [1, 0]
    assert transformers.AutoTokenizer.from_pretrained(version).chat_template == builders.TEMPLATE


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"rms_norm_eps": 0.1}, "rms_norm_eps: start 0.1"), ({"hidden_act": "gelu"}, "hidden_act: start")],
)
def test_other_arithmetic_is_refused(
    pair: builders.Pair, older: pathlib.Path, merges: Merges, changes: dict[str, object], named: str
) -> None:
    merges.train(configured(older, **changes))
    with pytest.raises(StageError, match=f"cannot be transferred.*{named}"):
        transferred(merges, pair, older)


def test_other_shapes_are_refused_with_the_tensors_named(
    pair: builders.Pair, older: pathlib.Path, merges: Merges
) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    builders.set_weights(older, **{name: torch.zeros(48, 16, dtype=torch.bfloat16)})
    merges.train(older)
    with pytest.raises(StageError, match=r"1 tensors differ: model\.layers\.0\.mlp\.up_proj\.weight: start \(48, 16\)"):
        transferred(merges, pair, older)


def test_other_tokens_are_refused(pair: builders.Pair, older: pathlib.Path, merges: Merges) -> None:
    document = json.loads((older / "tokenizer.json").read_text())
    document["model"]["merges"] = document["model"]["merges"][:-1]
    (older / "tokenizer.json").write_text(json.dumps(document))
    with pytest.raises(StageError, match="tokenizers: the merges differ"):
        transferred(merges, pair, older)


def test_version_zero_can_be_the_untrained_base_with_the_residual(
    pair: builders.Pair, older: pathlib.Path, merges: Merges
) -> None:
    residual = merges.extract(pair.base, pair.instruct)
    asked = MergeInput(start=builders.uri(older), residual=residual, transfer=Transfer.SAME_FAMILY)
    wanted = ImportInput(transferred=asked)
    said = builders.quiet(Stage.IMPORT)
    summary = stage_module.run(builders.request(merges.root, Stage.IMPORT, section=wanted), said)
    merges.train(older)
    assert builders.weights(merges.version(summary.digest)) == builders.weights(transferred(merges, pair, older))
    assert said.warnings == []


def test_a_number_format_that_is_unknown_here_is_refused_by_name(
    pair: builders.Pair, older: pathlib.Path, merges: Merges
) -> None:
    other = {"model.norm.weight": torch.ones(32, dtype=torch.int16)}
    residual = merges.resealed(merges.extract(pair.base, pair.instruct), **other)
    with pytest.raises(StageError, match=r"formats unknown here: model\.norm\.weight: I16; this version reads BF16"):
        merges.merge(older, residual, transfer=Transfer.SAME_FAMILY)
    added = (AddedResidual(residual=residual, transfer=Transfer.SAME_FAMILY),)
    own = merges.extract(older, pair.instruct)
    with pytest.raises(StageError, match=r"formats unknown here: model\.norm\.weight: I16"):
        merges.merge(older, own, added=added)


def test_version_zero_of_a_transfer_lies_where_it_is_asked_for(
    tmp_path: pathlib.Path, pair: builders.Pair, older: pathlib.Path, merges: Merges
) -> None:
    residual = merges.extract(pair.base, pair.instruct)
    asked = MergeInput(start=builders.uri(older), residual=residual, transfer=Transfer.SAME_FAMILY)
    wanted = ImportInput(instruct=builders.uri(pair.instruct), transferred=asked)
    request = builders.request(merges.root, Stage.IMPORT, section=wanted)
    folders = dataclasses.replace(run_folders.of(request), out=tmp_path / "zero")
    summary = import_.run(wanted, folders, builders.quiet(Stage.IMPORT))
    assert sealed.read(import_.artifact(folders, summary)).digest == summary.digest
