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
from modelrefresh_jobs.corpus import packing
from modelrefresh_jobs.training import attention, dataset, start_model
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


def test_adapters_leave_the_base_in_bf16_on_a_gpu(place: Place) -> None:
    wanted = TrainInput(start=builders.uri(place.pair.base), method=Method.LORA, lora_rank=8, zero_stage=0)
    model = start_model.load(wanted, place.pair.base, length=32, gpu=True).cuda()
    tokens = torch.arange(2, 34, device="cuda").unsqueeze(0)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        model(input_ids=tokens, labels=tokens).loss.backward()
    frozen = {weight.dtype for weight in model.parameters() if not weight.requires_grad}
    gradients = [weight.grad for weight in model.parameters() if weight.requires_grad]
    assert frozen == {torch.bfloat16}
    assert all(one is not None and one.dtype == torch.float32 and torch.isfinite(one).all() for one in gradients)


@pytest.mark.skipif(attention.kernel() is None, reason="needs flash-attn, and it is not installed for this GPU")
def test_both_ways_to_keep_documents_apart_give_one_loss(place: Place) -> None:
    tokens, marks = packing.load(place.root / "runs" / "chat" / "r1" / "prepare" / "blocks")
    examples = [dataset.example(tokens[row], marks[row]) for row in range(4)]
    wanted = TrainInput(start=builders.uri(place.pair.base), method=Method.FULL, zero_stage=0)
    losses = []
    for kernel, batch in ((None, dataset.collate(examples)), (attention.kernel(), dataset.flatten(examples))):
        model = start_model.load(wanted, place.pair.base, length=32, gpu=True, kernel=kernel).cuda()
        moved = {name: one.cuda() if isinstance(one, torch.Tensor) else one for name, one in batch.items()}
        with torch.autocast("cuda", dtype=torch.bfloat16):
            losses.append(float(model(**moved).loss.detach()))
    assert losses[1] == pytest.approx(losses[0], abs=0.02)


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
