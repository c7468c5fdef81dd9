"""The stages of one run one after the other, each from the request that an operator would send."""

import dataclasses
import pathlib

import peft
import pytest
import torch
import transformers

from modelrefresh.contract import result, stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.stages.extract import ExtractInput
from modelrefresh.contract.stages.merge import MergeInput, MergeSummary
from modelrefresh.contract.stages.prepare import PrepareInput
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method, Stage, Strategy
from modelrefresh_jobs.attempt import in_pod
from modelrefresh_jobs.process import progress
from modelrefresh_jobs.storage import sealed
from tests.jobs import builders, corpora

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


@pytest.fixture(autouse=True)
def no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "serve", lambda *_, **__: None)


class Run:
    """One run in its own workspace, on one pair of models."""

    def __init__(self, root: pathlib.Path, *, arch: str, dtype: str) -> None:
        self.pair = builders.tiny_pair(root / "models", arch=arch, dtype=dtype)
        self.root = root / "ws"
        self.data = corpora.texts(root / "data" / "news.jsonl", corpora.sentences(60))

    def stage(self, stage: Stage, section: object) -> result.Result:
        """Run a stage as a pod would; its result travels as a termination message."""
        request = stage_request.parse(stage_request.render(builders.request(self.root, stage, section)))
        ended = in_pod.attempt(request)
        assert ended.exit_code is ExitCode.OK, ended.message
        return result.parse(result.render_short(ended))

    def refresh(self, method: Method) -> tuple[pathlib.Path, MergeSummary]:
        """extract, prepare, train and merge."""
        base, instruct = builders.uri(self.pair.base), builders.uri(self.pair.instruct)
        cut = self.stage(Stage.EXTRACT, ExtractInput(base=base, instruct=instruct)).summary
        prepare = PrepareInput(base=base, data=f"file://{self.data}", sequence_length=32, max_tokens=100_000)
        self.stage(Stage.PREPARE, prepare)
        train = TrainInput(start=base, method=method, learning_rate=5e-3, sequence_length=32, lora_rank=4)
        trained = self.stage(Stage.TRAIN, dataclasses.replace(train, epochs=0.5, batch_size=4)).summary
        assert cut is not None
        assert trained is not None
        assert trained.start_fingerprint == cut.base_fingerprint
        wanted = MergeInput(start=base, strategy=Strategy.RESIDUAL, residual=cut.digest)
        merged = self.stage(Stage.MERGE, wanted).summary
        assert merged is not None
        return builders.workspace_of(self.root).version(merged.digest), merged

    def trained(self) -> dict[str, torch.Tensor]:
        """What training left, as peft and transformers see it."""
        folder = builders.workspace_of(self.root).stage("chat", "r1", Stage.TRAIN) / "model"
        if not (folder / "adapter_config.json").exists():
            return dict(transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).state_dict())
        base = transformers.AutoModelForCausalLM.from_pretrained(self.pair.base, dtype=torch.float64)
        return dict(peft.PeftModel.from_pretrained(base, folder).merge_and_unload().state_dict())


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize(("arch", "dtype"), [(builders.LLAMA, "float32"), (builders.QWEN2, "bfloat16")])
def test_a_run_ends_in_a_version_that_is_trained_plus_residual(
    tmp_path: pathlib.Path, arch: str, dtype: str, method: Method
) -> None:
    run = Run(tmp_path, arch=arch, dtype=dtype)
    version, summary = run.refresh(method)
    assert sealed.verify(version, deep=True).digest == summary.digest
    assert summary.drift > 0
    base, instruct, found = (
        transformers.AutoModelForCausalLM.from_pretrained(folder).state_dict()
        for folder in (run.pair.base, run.pair.instruct, version)
    )
    trained = run.trained()
    for name, value in found.items():
        expected = trained[name].double() + instruct[name].double() - base[name].double()
        torch.testing.assert_close(value, expected.to(value.dtype), msg=name)
    model = transformers.AutoModelForCausalLM.from_pretrained(version)
    assert model.dtype is getattr(torch, dtype)
    assert model.generate(torch.arange(2, 9).unsqueeze(0), max_new_tokens=3).shape[1] > 7
