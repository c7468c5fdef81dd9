"""The stages on a real GPU: train under ZeRO, leave and go on, merge, evaluate."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
import torch

from modelrefresh.contract import result, stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.stages.evaluate import EvaluateInput
from modelrefresh.contract.stages.extract import ExtractInput
from modelrefresh.contract.stages.import_ import ImportInput
from modelrefresh.contract.stages.merge import MergeInput
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method, Stage, Strategy
from tests.jobs import builders, corpora

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU, and this machine has none"),
]


class Place:
    """A pair, a corpus and a suite in a workspace; stages run as they do in a pod."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.pair = builders.tiny_pair(root / "models", dtype="bfloat16")
        corpora.prepared(root, self.pair.base, documents=200)
        items: list[dict[str, object]] = [{"question": f"what is {n}", "answer": str(n)} for n in range(40)]
        self.suite = corpora.suite(corpora.write(root / "facts.jsonl", items))

    def run(self, stage: Stage, section: object) -> result.Result:
        """One attempt of one stage in a process of its own."""
        request = builders.request(self.root, stage, section)
        variables = os.environ | {stage_request.INPUT_VARIABLE: stage_request.render(request), "HF_HUB_OFFLINE": "1"}
        subprocess.run((sys.executable, "-m", "modelrefresh_jobs", stage.value), check=False, env=variables)
        answer = self.root / "runs" / request.owner / request.run / stage.value / "result.json"
        return result.parse(answer.read_text())

    def train(self, **changes: object) -> result.Result:
        """Train the base."""
        settings: dict[str, object] = {
            "method": Method.FULL,
            "learning_rate": 5e-3,
            "batch_size": 4,
            "epochs": 2.0,
        }
        wanted = TrainInput(start=builders.uri(self.pair.base), sequence_length=32, **(settings | changes))  # type: ignore[arg-type]
        return self.run(Stage.TRAIN, wanted)


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("zero_stage", [0, 1, 2, 3])
def test_full_training_on_a_gpu_learns_under_every_stage_of_zero(place: Place, zero_stage: int) -> None:
    ended = place.train(zero_stage=zero_stage)
    assert ended.summary is not None, ended.message
    assert ended.summary.last_loss < ended.summary.first_loss - 0.5


@pytest.mark.parametrize("zero_stage", [0, 2])
def test_lora_on_a_gpu_learns(place: Place, zero_stage: int) -> None:
    ended = place.train(method=Method.LORA, zero_stage=zero_stage, lora_rank=8)
    assert ended.summary is not None, ended.message
    assert ended.summary.last_loss < ended.summary.first_loss


@pytest.mark.parametrize("zero_stage", [0, 2])
def test_a_model_trained_on_a_gpu_is_merged_and_answers(place: Place, zero_stage: int) -> None:
    pair = ExtractInput(base=builders.uri(place.pair.base), instruct=builders.uri(place.pair.instruct))
    cut = place.run(Stage.EXTRACT, pair).summary
    stock = place.run(Stage.IMPORT, ImportInput(instruct=pair.instruct)).summary
    assert cut is not None
    assert stock is not None
    place.train(zero_stage=zero_stage)
    merge = MergeInput(start=pair.base, strategy=Strategy.RESIDUAL, residual=cut.digest)
    merged = place.run(Stage.MERGE, merge).summary
    assert merged is not None
    wanted = EvaluateInput(candidate=merged.digest, incumbent=stock.digest, suites=(place.suite,), max_new_tokens=8)
    measured = place.run(Stage.EVALUATE, wanted)
    assert measured.exit_code is ExitCode.OK, measured.message
    records = place.root / "runs" / "chat" / "r1" / "evaluate" / "records" / "facts.jsonl"
    assert len([json.loads(line) for line in records.read_text().splitlines()]) == 40
