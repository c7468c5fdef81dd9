"""Each known family goes through all stages: a tiny model in its real layout is cut, trained, merged, and answers."""

import dataclasses
import pathlib
import shutil

import pytest
import safetensors.torch
import torch
import transformers

from modelrefresh.contract.stages.extract import ExtractInput
from modelrefresh.contract.stages.merge import MergeInput
from modelrefresh.contract.stages.prepare import PrepareInput
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method, Stage, Strategy
from modelrefresh_jobs.attempt import stage_module
from modelrefresh_jobs.models import families, lora, model_folder
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import sealed
from tests.jobs import builders, corpora

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A run that has its residual and its blocks."""

    root: pathlib.Path
    pair: builders.Pair
    residual: str

    def stage(self, stage: Stage, section: object) -> object:
        """One stage of it."""
        return stage_module.run(builders.request(self.root, stage, section=section), builders.quiet(stage))

    def train(self, method: Method) -> pathlib.Path:
        """Two steps; gives the folder of what was trained."""
        shutil.rmtree(self.trained, ignore_errors=True)
        self.stage(Stage.TRAIN, training(self.pair.base, method))
        return self.trained

    def merge(self) -> pathlib.Path:
        """The candidate."""
        wanted = MergeInput(
            start=builders.uri(self.pair.base), strategy=Strategy.RESIDUAL, residual=self.residual, scale=1.0
        )
        return builders.workspace_of(self.root).version(self.stage(Stage.MERGE, wanted).digest)  # type: ignore[attr-defined]

    @property
    def trained(self) -> pathlib.Path:
        """Where train leaves its model."""
        return builders.workspace_of(self.root).stage("chat", "r1", Stage.TRAIN) / "model"


def training(base: pathlib.Path, method: Method) -> TrainInput:
    return TrainInput(
        start=builders.uri(base),
        method=method,
        learning_rate=1e-2,
        sequence_length=32,
        batch_size=4,
        epochs=0.3,
        lora_rank=2,
    )


@pytest.fixture(scope="module", params=families.FAMILIES, ids=lambda family: family.model_type)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp(request.param.model_type)
    pair = builders.tiny_pair(root / "models", arch=request.param.architecture, dtype="bfloat16")
    made = Run(root=root, pair=pair, residual="")
    pair_of = ExtractInput(base=builders.uri(pair.base), instruct=builders.uri(pair.instruct))
    made = dataclasses.replace(made, residual=made.stage(Stage.EXTRACT, pair_of).digest)  # type: ignore[attr-defined]
    data = corpora.texts(root / "data" / "a.jsonl", corpora.sentences(30))
    prepare = PrepareInput(
        base=builders.uri(pair.base),
        data=f"file://{data}",
        residual=made.residual,
        sequence_length=32,
        max_tokens=1_000_000,
        train=training(pair.base, Method.LORA),
    )
    made.stage(Stage.PREPARE, prepare)
    return made


def test_without_training_it_is_the_instruct_model_bit_for_bit(run: Run) -> None:
    shutil.rmtree(run.trained, ignore_errors=True)
    with sealed.draft(run.trained.parent, kind="trained", label="model") as made:
        shutil.copytree(run.pair.base, made.path, dirs_exist_ok=True)
        sealed.seal(made, target=run.trained)
    assert builders.weights(run.merge()) == builders.weights(run.pair.instruct)


@pytest.mark.parametrize("method", Method)
def test_what_was_trained_and_merged_loads_whole_and_answers(run: Run, method: Method) -> None:
    run.train(method)
    version = run.merge()
    found, instruct = builders.weights(version), builders.weights(run.pair.instruct)
    assert found.keys() == instruct.keys()
    assert any(found[name] != instruct[name] for name in found)
    model, loaded = transformers.AutoModelForCausalLM.from_pretrained(version, output_loading_info=True)
    assert not any(loaded.values())
    answer = model.generate(torch.arange(2, 12).unsqueeze(0), max_new_tokens=3, min_new_tokens=3, do_sample=False)
    assert answer.shape == (1, 13)


def test_lora_adapts_all_matrices_of_the_layers_or_those_that_the_table_names(run: Run) -> None:
    base = model_folder.accept(run.pair.base)
    built = transformers.AutoModelForCausalLM.from_pretrained(run.pair.base)
    adapted = lora.attach(built, training(run.pair.base, Method.LORA)).peft_config["default"].target_modules
    matrices = {name.removesuffix(".weight") for name, one in base.tensors.items() if len(one.shape) > 1}
    assert {*adapted} == {*(base.family.lora or [name for name in matrices if ".layers." in name])}


def test_a_mixture_without_one_of_its_experts_is_refused_before_anything_is_trained(tmp_path: pathlib.Path) -> None:
    base = builders.tiny_model(tmp_path / "base", arch="MixtralForCausalLM")
    name = "model.layers.1.block_sparse_moe.experts.2.w1.weight"
    stored = safetensors.torch.load_file(base / "model.safetensors")
    del stored[name]
    safetensors.torch.save_file(stored, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(StageError, match=rf"1 tensors are not those .*{name}: stored None") as caught:
        corpora.prepared(tmp_path, base)
    assert caught.value.reason == "ModelUnreadable"
