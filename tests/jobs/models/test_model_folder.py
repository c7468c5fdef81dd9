"""Model folders that are refused at the door, each with its reason and a complete list."""

import os
import pathlib
import shutil

import pytest
import safetensors.torch
import torch

from modelrefresh_jobs.models import arithmetic, families, model_folder
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.weights import compatibility
from tests.jobs import builders


def refused(folder: pathlib.Path) -> str:
    with pytest.raises(StageError) as caught:
        model_folder.accept(folder)
    assert caught.value.reason == "ModelUnreadable"
    return str(caught.value)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> builders.Pair:
    return builders.tiny_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture
def model(pristine: builders.Pair, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(pristine.base, tmp_path / "model"))


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "video_preprocessor_config.json"])
@pytest.mark.parametrize("key", ["auto_map", "custom_pipelines", "trust_remote_code"])
def test_keys_that_load_code_are_refused_wherever_they_are(model: pathlib.Path, file: str, key: str) -> None:
    if not (model / file).exists():
        builders.write_json(model / file, {})
    builders.edit_json(model / file, nested={"deep": [{key: {"AutoModel": "modeling.Mine"}}]})
    assert f"{file}: {key}" in refused(model)


def test_python_files_are_refused(model: pathlib.Path) -> None:
    (model / "modeling_mine.py").touch()
    assert "modeling_mine.py" in refused(model)


@pytest.mark.parametrize("name", ["zero_to_fp32.py", "checkpoint-500/zero_to_fp32.py"])
def test_the_script_that_deepspeed_leaves_in_its_checkpoints_is_no_code_of_the_model(
    model: pathlib.Path, name: str
) -> None:
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).touch()
    assert model_folder.accept(model).parameters
    (model / "modeling_mine.py").touch()
    assert "zero_to_fp32" not in refused(model)


def test_pickles_are_refused_and_never_opened(model: pathlib.Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    assert "pytorch_model.bin are pickles, which can run code" in refused(model)


@pytest.mark.parametrize("by_config", [True, False])
@pytest.mark.parametrize(
    ("card", "path", "said"),
    [
        ("---\nlicense: mit\nbase_model: Qwen/Qwen3-8B\n---\n# FP8", None, "use Qwen/Qwen3-8B, from which"),
        ("---\nbase_model:\n- meta-llama/Llama-3.1-8B-Instruct\n---\n", "x/y", "use meta-llama/Llama-3.1-8B-Instruct,"),
        ('---\nbase_model: ["org/one"]\n---\n', None, "use org/one,"),
        ("base_model: not/front-matter", "org/original", "use org/original,"),
        (None, "/srv/models/one", "use its bf16 release"),
        (None, None, "use its bf16 release"),
    ],
)
def test_a_quantised_model_is_refused_with_the_one_it_was_made_from(
    model: pathlib.Path, *, card: str | None, path: str | None, said: str, by_config: bool
) -> None:
    if card:
        (model / "README.md").write_text(card)
    builders.edit_json(model / "config.json", _name_or_path=path)
    if by_config:
        builders.edit_json(model / "config.json", quantization_config={"quant_method": "fp8"})
    else:
        builders.set_weights(model, **{"model.norm.weight": torch.zeros(32, dtype=torch.float8_e4m3fn)})
    assert "quantised" in refused(model)
    assert said in refused(model)


def test_weights_in_other_formats_are_refused_by_name(model: pathlib.Path) -> None:
    builders.set_weights(model, **{"model.norm.weight": torch.zeros(32, dtype=torch.int8)})
    assert "model.norm.weight (I8)" in refused(model)


@pytest.mark.parametrize("named", ["MambaForCausalLM", ["LlamaForCausalLM"], {}, 7])
def test_unknown_architectures_are_refused_with_the_known_ones(model: pathlib.Path, named: object) -> None:
    builders.edit_json(model / "config.json", architectures=[named])
    assert all(name in refused(model) for name in (str(named), *(one.architecture for one in families.FAMILIES)))


def test_a_truncated_file_is_refused(model: pathlib.Path) -> None:
    data = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(data[:-1])
    assert "not a whole safetensors file" in refused(model)


def test_a_file_that_the_stage_may_not_read_is_not_called_damaged(
    model: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model / "model.safetensors").chmod(0o600)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "mode 600 shuts out user id" in refused(model)


def test_a_folder_without_a_model_is_answered_with_what_it_holds(tmp_path: pathlib.Path) -> None:
    (tmp_path / "README.md").touch()
    assert "README.md" in refused(tmp_path)


def test_a_missing_shard_is_named(model: pathlib.Path, tmp_path: pathlib.Path) -> None:
    split = builders.resharded(model, tmp_path / "split")
    gone = sorted(split.glob("model-*.safetensors"))[1]
    gone.unlink()
    assert gone.name in refused(split)


def test_a_tensor_in_another_shard_than_the_index_says_is_named(model: pathlib.Path, tmp_path: pathlib.Path) -> None:
    split = builders.resharded(model, tmp_path / "split")
    first, second = sorted(split.glob("model-*.safetensors"))[:2]
    stored = safetensors.torch.load_file(first)
    builders.edit_weights(second, **stored)
    assert next(iter(stored)) in refused(split)


def test_an_index_that_leaves_its_folder_is_refused(model: pathlib.Path, tmp_path: pathlib.Path) -> None:
    split = builders.resharded(model, tmp_path / "split")
    builders.edit_json(
        split / "model.safetensors.index.json", weight_map={"model.norm.weight": "../model/model.safetensors"}
    )
    assert "files outside its folder" in refused(split)


def test_a_tied_head_that_was_stored_all_the_same_changes_nothing(tmp_path: pathlib.Path) -> None:
    tied = builders.tiny_model(tmp_path / "tied", arch=builders.QWEN2)
    before = model_folder.fingerprint(tied)
    embedding = safetensors.torch.load_file(tied / "model.safetensors")[model_folder.EMBEDDING]
    builders.set_weights(tied, **{model_folder.HEAD: embedding.clone()})
    assert model_folder.HEAD not in model_folder.accept(tied).tensors
    assert model_folder.fingerprint(tied) == before


def test_rotary_frequencies_of_old_exporters_are_no_weights(model: pathlib.Path) -> None:
    before = model_folder.fingerprint(model)
    builders.set_weights(model, **{"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)})
    assert model_folder.fingerprint(model) == before


def test_a_head_called_tied_that_differs_is_refused(tmp_path: pathlib.Path) -> None:
    tied = builders.tiny_model(tmp_path / "tied", arch=builders.QWEN2)
    builders.set_weights(tied, **{model_folder.HEAD: torch.zeros(builders.VOCABULARY, 32)})
    assert "ties head and embedding" in refused(tied)


def test_a_fingerprint_changes_with_a_bit(model: pathlib.Path) -> None:
    first = model_folder.fingerprint(model)
    assert model_folder.fingerprint(model) == first
    weights = safetensors.torch.load_file(model / "model.safetensors")["model.norm.weight"]
    weights[3] = torch.nextafter(weights[3], torch.tensor(9.0))
    builders.set_weights(model, **{"model.norm.weight": weights})
    assert model_folder.fingerprint(model) != first


def test_a_pair_that_differs_in_everything_is_refused_with_the_whole_list(
    pristine: builders.Pair, model: pathlib.Path
) -> None:
    builders.edit_json(model / "config.json", tie_word_embeddings=True, rms_norm_eps=1e-3, rope_parameters=None)
    builders.edit_json(model / "config.json", rope_theta=5e5)
    builders.set_weights(model, **{"model.norm.weight": torch.zeros(31), "model.extra.weight": torch.zeros(1)})
    embedding = safetensors.torch.load_file(model / "model.safetensors")[model_folder.EMBEDDING]
    builders.set_weights(model, **{model_folder.HEAD: embedding.clone()})
    builders.edit_json(model / "tokenizer.json", model={"type": "BPE", "vocab": {"a": 0}, "merges": []})
    with pytest.raises(StageError) as caught:
        compatibility.check_pair(model_folder.accept(pristine.base), model_folder.accept(model))
    assert caught.value.reason == "ResidualIncompatible"
    for said in (
        "tie_word_embeddings: base False, instruct True",
        "rms_norm_eps: base 1e-06, instruct 0.001",
        "rope: base (10000.0, 'default', ()), instruct (500000.0, 'default', ())",
        "only in base: lm_head.weight",
        "only in instruct: model.extra.weight",
        "model.norm.weight: base [32], instruct [31]",
        "the vocabularies differ",
        "the merges differ",
    ):
        assert said in str(caught.value)


def test_both_spellings_of_the_rotary_embedding_are_one() -> None:
    scaled = {"rope_type": "llama3", "factor": 8.0}
    old = {"rope_theta": 500000.0, "rope_scaling": {**scaled, "type": "llama3"}}
    assert arithmetic.rope(old) == arithmetic.rope({"rope_parameters": {**scaled, "rope_theta": 500000.0}})
    assert arithmetic.rope({}) == arithmetic.rope({"rope_theta": 10000, "rope_scaling": None})


def test_a_pair_may_differ_in_added_tokens_and_templates(pristine: builders.Pair, model: pathlib.Path) -> None:
    builders.make_instruct(model)
    tokenizer = model_folder.read_json(model / "tokenizer.json")
    added = tokenizer["added_tokens"]
    assert isinstance(added, list)
    builders.edit_json(model / "tokenizer.json", added_tokens=added[:1])
    compatibility.check_pair(model_folder.accept(pristine.base), model_folder.accept(model))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("num_hidden_layers", 3, "num_hidden_layers 3, but there are weights of 2 layers"),
        ("num_hidden_layers", 1, "num_hidden_layers 1, but there are weights of 2 layers"),
        ("hidden_size", 64, "hidden_size 64, but model.embed_tokens.weight is [320, 32]"),
    ],
)
def test_a_configuration_of_another_size_than_the_weights_is_refused(
    model: pathlib.Path, key: str, value: int, said: str
) -> None:
    builders.edit_json(model / "config.json", **{key: value})
    assert said in refused(model)
