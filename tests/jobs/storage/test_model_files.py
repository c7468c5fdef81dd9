"""Which files are the model: every reader gets the same ones, and a folder that leaves a choice is refused."""

import json
import pathlib
import random
import shutil
from collections.abc import Callable

import pytest
import safetensors.torch
import transformers

from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method, Stage
from modelrefresh_jobs.models import instruct_assets, model_folder
from modelrefresh_jobs.process import errors
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import model_files, run_folders
from modelrefresh_jobs.storage.schemes import hf
from modelrefresh_jobs.tensors import safetensors_reader
from modelrefresh_jobs.training import trainer
from modelrefresh_jobs.weights import trained_weights
from tests.jobs import builders, corpora

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
COMPANIONS = {
    "tokenizer.json": "{}",
    "tokenizer_config.json": json.dumps({"chat_template": "one"}),
    "chat_template.jinja": "another",
    "additional_chat_templates/tool_use.jinja": "a third",
    "generation_config.json": "{}",
    "tekken.json": "{}",
    "tokenizer.model.v3": "v3",
    "qwen.tiktoken": "t",
    "processor_config.json": "{}",
    "LICENSE.txt": "free",
}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """One model in both layouts: `whole` and `split`, and `other` weights of its shape."""
    root = tmp_path_factory.mktemp("models")
    builders.tiny_model(root / "whole")
    builders.resharded(root / "whole", root / "split")
    builders.disturbed(root / "whole", root / "other", seed=3, size=0.5)
    return root


def copied(pristine: pathlib.Path, kind: str, target: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(pristine / kind, target))


def stale_single(folder: pathlib.Path, pristine: pathlib.Path) -> None:
    shutil.copyfile(pristine / "other" / SINGLE, folder / SINGLE)


def stale_shard(folder: pathlib.Path, pristine: pathlib.Path) -> None:
    shutil.copyfile(pristine / "other" / SINGLE, folder / "model-00001-of-00099.safetensors")


def adapter_config(folder: pathlib.Path, _pristine: pathlib.Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "elsewhere"}')


def adapter_weights(folder: pathlib.Path, pristine: pathlib.Path) -> None:
    shutil.copyfile(pristine / "other" / SINGLE, folder / "adapter_model.safetensors")


def lost_index(folder: pathlib.Path, pristine: pathlib.Path) -> None:
    stale_single(folder, pristine)
    (folder / INDEX).unlink()


@pytest.mark.parametrize(
    ("kind", "spoil", "named"),
    [
        ("split", stale_single, (SINGLE, INDEX)),
        ("split", stale_shard, (INDEX, "model-00001-of-00099.safetensors")),
        ("whole", stale_shard, (SINGLE, "model-00001-of-00099.safetensors")),
        ("split", lost_index, (SINGLE, "model-00001-of-")),
        ("whole", adapter_config, (SINGLE, "adapter_config.json")),
        ("split", adapter_config, (INDEX, "adapter_config.json")),
        ("whole", adapter_weights, (SINGLE, "adapter_model.safetensors")),
    ],
)
def test_a_folder_that_leaves_a_choice_is_refused_with_both_named(
    pristine: pathlib.Path,
    tmp_path: pathlib.Path,
    kind: str,
    spoil: Callable[[pathlib.Path, pathlib.Path], None],
    named: tuple[str, str],
) -> None:
    folder = copied(pristine, kind, tmp_path / "model")
    spoil(folder, pristine)
    with pytest.raises(StageError, match="remove those that are not the model") as caught:
        model_folder.accept(folder)
    assert caught.value.reason == "ModelUnreadable"
    assert all(name in str(caught.value) for name in (str(folder), *named))


@pytest.mark.parametrize("seed", range(24))
def test_what_is_accepted_is_what_transformers_loads(pristine: pathlib.Path, tmp_path: pathlib.Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 -- inputs, not secrets
    folder = copied(pristine, chance.choice(["whole", "split"]), tmp_path / "model")
    before = {path.name for path in folder.iterdir()}
    beside = ["consolidated.safetensors", "model.fp16.safetensors", "pytorch_model.bin", "model.gguf", "original/x.bin"]
    beside += [SINGLE, "model-00001-of-00002.safetensors", "adapter_model.safetensors", "onnx/model.safetensors"]
    for name in chance.sample(beside, 2):
        if name not in before:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(pristine / "other" / SINGLE, folder / name)
    if chance.random() < 0.3:
        builders.edit_json(folder / "config.json", transformers_weights=chance.choice([SINGLE, INDEX]))
    try:
        model_folder.accept(folder)
    except StageError as error:
        assert error.reason == "ModelUnreadable"  # noqa: PT017 -- either outcome is right, this is one half
        return
    loaded = transformers.AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True).state_dict()
    stored = safetensors.torch.load_file(pristine / "whole" / SINGLE)
    assert all((loaded[name] == value).all() for name, value in stored.items())
    assert builders.weights(folder) == builders.weights(pristine / "whole")


def test_an_ordinary_hub_folder_is_accepted_with_all_that_lies_beside(
    pristine: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    blobs, snapshot = copied(pristine, "split", tmp_path / "blobs"), tmp_path / "snapshot"
    (snapshot / "original").mkdir(parents=True)
    for path in blobs.iterdir():
        (snapshot / path.name).symlink_to(path)
    for name in (
        "consolidated.safetensors",
        "model.fp16.safetensors",
        "pytorch_model.bin",
        "model.gguf",
        "params.json",
    ):
        (snapshot / name).write_bytes(b"{}")
    assert model_folder.fingerprint(snapshot) == model_folder.fingerprint(pristine / "whole")


def test_a_config_may_name_the_weights_that_all_readers_take(pristine: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = copied(pristine, "whole", tmp_path / "model")
    builders.edit_json(folder / "config.json", transformers_weights=SINGLE)
    assert model_folder.fingerprint(folder) == model_folder.fingerprint(pristine / "whole")


@pytest.mark.parametrize("named", ["model.fp16.safetensors", "../other/model.safetensors", INDEX, "", 7])
def test_a_config_that_names_other_weights_is_refused_with_both(
    pristine: pathlib.Path, tmp_path: pathlib.Path, named: object
) -> None:
    folder = copied(pristine, "whole", tmp_path / "model")
    builders.edit_json(folder / "config.json", transformers_weights=named)
    with pytest.raises(StageError, match="transformers_weights") as caught:
        model_folder.accept(folder)
    assert all(name in str(caught.value) for name in (errors.shown(named), SINGLE))


def test_a_tensor_in_two_shards_is_refused(pristine: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = copied(pristine, "split", tmp_path / "model")
    first, *_, last = sorted(folder.glob("model-*.safetensors"))
    builders.edit_weights(first, **safetensors.torch.load_file(last))
    with pytest.raises(StageError, match=f"does not name there: .* in {first.name}"):
        safetensors_reader.open_folder(folder)


def test_training_does_not_begin_from_an_ambiguous_folder(pristine: pathlib.Path, tmp_path: pathlib.Path) -> None:
    both = copied(pristine, "split", tmp_path / "both")
    corpora.prepared(tmp_path / "ws", both)
    stale_single(both, pristine)
    wanted = TrainInput(start=builders.uri(both), sequence_length=32, method=Method.LORA, learning_rate=1e-6)
    request = builders.request(tmp_path / "ws", Stage.TRAIN, section=wanted)
    with pytest.raises(StageError, match="more than one set of weights"):
        trainer.train(request.section, run_folders.of(request), builders.quiet(Stage.TRAIN), stop=lambda: False)


def test_an_adapter_beside_a_full_checkpoint_is_no_trained_model(
    pristine: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    folder = copied(pristine, "whole", tmp_path / "trained")
    adapter_weights(folder, pristine)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "lora_alpha": 1, "bias": "none"}))
    with pytest.raises(StageError, match=r"adapter_model\.safetensors beside model\.safetensors"):
        trained_weights.accept(folder, model_folder.accept(pristine / "whole"))


def test_all_that_a_loader_reads_for_tokenizer_and_chat_travels_byte_for_byte(tmp_path: pathlib.Path) -> None:
    for name, text in COMPANIONS.items():
        (tmp_path / "instruct" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "instruct" / name).write_text(text)
    instruct_assets.copy(tmp_path / "instruct", tmp_path / "residual")
    instruct_assets.copy(tmp_path / "residual", tmp_path / "version")
    assert {name: (tmp_path / "version" / name).read_text() for name in COMPANIONS} == COMPANIONS


@pytest.mark.parametrize(
    "name",
    [
        *("modeling.py", "run.sh", "model.safetensors", INDEX, "pytorch_model.bin", "pytorch_model.bin.index.json"),
        *(
            "config.json",
            "params.json",
            "adapter_config.json",
            "manifest.json",
            "provenance.json",
            "trainer_state.json",
        ),
        *("eval_results.json", ".hidden.json", "model.gguf", "model.onnx", "additional_chat_templates/run.py"),
    ],
)
def test_neither_code_nor_weights_nor_our_own_files_travel(tmp_path: pathlib.Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("{}")
    assert model_files.companions(tmp_path) == ()


@pytest.mark.parametrize(
    "kind", ["LlamaTokenizer", "Qwen2Tokenizer", "GPT2Tokenizer", "T5Tokenizer", "XLMRobertaTokenizer", "BertTokenizer"]
)
def test_every_file_that_a_tokenizer_class_asks_for_travels(tmp_path: pathlib.Path, kind: str) -> None:
    names = sorted(getattr(transformers, kind).vocab_files_names.values())
    for name in names:
        (tmp_path / name).write_text("{}")
    assert list(model_files.companions(tmp_path)) == names


def test_the_hub_gives_every_file_that_would_travel() -> None:
    wanted = [pathlib.PurePath(name) for name in COMPANIONS]
    assert all(any(path.match(pattern) for pattern in hf.WANTED) for path in wanted)
