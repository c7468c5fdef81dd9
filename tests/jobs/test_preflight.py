"""Prepare proves, before anything is trained, what train, merge and evaluate will need."""

import dataclasses
import json
import pathlib
import shutil
from typing import Any

import pytest
import safetensors.torch

from modelrefresh.contract import stage_request
from modelrefresh.contract.stages.evaluate import EvaluateInput
from modelrefresh.contract.stages.extract import ExtractInput
from modelrefresh.contract.stages.merge import AddedResidual, MergeInput
from modelrefresh.contract.stages.prepare import PrepareInput, PrepareSummary
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method, Stage, Transfer
from modelrefresh_jobs.attempt import stage_module
from modelrefresh_jobs.evaluation import suites
from modelrefresh_jobs.models import prompts
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.stages import evaluate, extract, prepare
from modelrefresh_jobs.storage import run_folders, sealed
from tests.jobs import builders, corpora

CONTEXT = 128
TRAIN = TrainInput(start="", method=Method.LORA, learning_rate=1e-4, sequence_length=32, lora_rank=4)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """A workspace with a stored residual, data and a suite, and the request that fits it."""

    root: pathlib.Path
    pair: builders.Pair
    residual: str

    def asked(self, **changes: Any) -> stage_request.StageRequest:  # noqa: ANN401 -- any field
        """The request, with changes."""
        settings: dict[str, Any] = {
            "base": builders.uri(self.pair.base),
            "data": f"file://{self.root / 'data'}",
            "sequence_length": 32,
            "max_tokens": 1_000_000,
            "suites": (corpora.suite(self.root / "facts.jsonl"),),
            "residual": self.residual,
            "max_items": 1000,
            "max_new_tokens": 16,
            "train": TRAIN,
        } | changes
        return builders.request(self.root, Stage.PREPARE, section=PrepareInput(**settings))

    def run(self, **changes: Any) -> PrepareSummary:  # noqa: ANN401
        """Prepare."""
        return stage_module.run(self.asked(**changes), builders.quiet(Stage.PREPARE))

    def refused(self, **changes: Any) -> StageError:  # noqa: ANN401
        """Why prepare would not begin."""
        with pytest.raises(StageError) as caught:
            self.run(**changes)
        assert not run_folders.of(self.asked()).blocks.exists()
        return caught.value

    @property
    def stored(self) -> pathlib.Path:
        """The residual's folder."""
        return builders.workspace_of(self.root).residual(self.residual)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("made")
    return lay_out(root, builders.tiny_pair(root / "models"))


@pytest.fixture
def place(made: Place, tmp_path: pathlib.Path) -> Place:
    shutil.copytree(made.root, tmp_path, dirs_exist_ok=True)
    models = tmp_path / "models"
    pair = builders.Pair(base=models / "base", instruct=models / "instruct", trained=models / "trained")
    return dataclasses.replace(made, root=tmp_path, pair=pair)


def lay_out(root: pathlib.Path, pair: builders.Pair) -> Place:
    section = ExtractInput(base=builders.uri(pair.base), instruct=builders.uri(pair.instruct))
    request = builders.request(root, Stage.EXTRACT, section=section)
    digest = extract.run(request.section, run_folders.of(request), builders.quiet(Stage.EXTRACT)).digest
    corpora.texts(root / "data" / "a.jsonl", corpora.sentences(20))
    ask(root, [f"who is number {index}?" for index in range(12)])
    return Place(root=root, pair=pair, residual=digest)


def ask(root: pathlib.Path, questions: list[str]) -> None:
    corpora.write(root / "facts.jsonl", [{"question": one, "answer": "blue"} for one in questions])


def lengths(place: Place, questions: list[str]) -> list[int]:
    return prompts.load(place.pair.instruct).lengths(questions)


@pytest.mark.parametrize("arch", builders.CONFIGS)
@pytest.mark.parametrize("method", Method)
def test_what_fits_together_is_packed_whatever_the_architecture_and_the_method(
    tmp_path: pathlib.Path, arch: str, method: Method
) -> None:
    place = lay_out(tmp_path, builders.tiny_pair(tmp_path / "models", arch=arch, dtype="bfloat16"))
    train = dataclasses.replace(TRAIN, method=method)
    assert place.run(train=train).blocks
    direct = place.asked(base=builders.uri(place.pair.instruct), train=train)
    assert prepare.run(direct.section, run_folders.of(direct), builders.quiet(Stage.PREPARE)).blocks


def test_what_later_stages_are_asked_does_not_change_the_identity_of_the_data(place: Place) -> None:
    bare = place.run(residual=None, max_items=None, max_new_tokens=None, train=None, suites=())
    assert place.run().fingerprint == bare.fingerprint


@pytest.mark.parametrize("spare", [0, 1, 7])
def test_a_question_fits_up_to_the_last_token_of_the_context(place: Place, spare: int) -> None:
    questions = ["who? " * 3, "what? " * 9, "why"]
    ask(place.root, questions)
    longest = max(lengths(place, questions))
    assert place.run(max_new_tokens=CONTEXT - longest - spare).blocks


def test_what_prepare_lets_pass_up_to_the_last_token_is_answered(place: Place) -> None:
    questions = ["who? " * 3, "what? " * 9, "why"]
    ask(place.root, questions)
    limit = CONTEXT - max(lengths(place, questions))
    with sealed.draft(place.root / "versions", kind="version", label="v") as draft:
        shutil.copytree(place.pair.instruct, draft.path, dirs_exist_ok=True)
        digest = sealed.seal(draft).digest
    assert place.run(max_new_tokens=limit, incumbent=digest).blocks
    suite = corpora.suite(place.root / "facts.jsonl")
    section = EvaluateInput(candidate=digest, incumbent=None, suites=(suite,), max_new_tokens=limit)
    request = builders.request(place.root, Stage.EVALUATE, section=section)
    assert evaluate.run(request.section, run_folders.of(request), builders.quiet(Stage.EVALUATE)).scores[
        0
    ].items == len(questions)


@pytest.mark.parametrize("missing", [1, 5, 40])
def test_questions_that_do_not_fit_are_refused_with_all_numbers(place: Place, missing: int) -> None:
    questions = ["who? " * 3, "what? " * 12, "what? " * 12 + "!", "why"]
    ask(place.root, questions)
    counted = lengths(place, questions)
    room = max(counted) - missing
    over = sum(length > room for length in counted)
    error = place.refused(max_new_tokens=CONTEXT - room)
    assert error.reason == "EvaluationUnreadable"
    for said in ("suite facts", f"{over} of 4", f"{max(counted)} tokens", f"{room}", f"{CONTEXT}", f"{CONTEXT - room}"):
        assert said in str(error)


@pytest.mark.parametrize("wanted", [CONTEXT, CONTEXT + 1, 4096])
def test_an_answer_as_long_as_the_context_is_the_spec_s_fault(place: Place, wanted: int) -> None:
    error = place.refused(max_new_tokens=wanted)
    assert error.reason == "InvalidSpec"
    assert f"maxNewTokens keeps {wanted}" in str(error)


def test_only_questions_that_are_asked_must_fit(place: Place) -> None:
    ask(place.root, [f"{'long ' * 100 if index else 'short'} {index}" for index in range(2)])
    with pytest.raises(StageError, match="1 of 2 questions"):
        place.run()
    asked_first = [item.question for item in selected(place, 1)]
    assert place.run(max_items=1) if asked_first[0].startswith("short") else place.refused(max_items=1)


def selected(place: Place, limit: int) -> tuple[suites.Item, ...]:
    return suites.load(corpora.suite(place.root / "facts.jsonl"), run_folders.of(place.asked())).selection(limit)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_leaves_no_item_is_refused(place: Place, limit: int) -> None:
    assert place.refused(max_items=limit).reason == "InvalidSpec"


def test_every_file_of_the_stored_residual_is_proven_by_hash(place: Place) -> None:
    for name in [file.name for file in sealed.read(place.stored).files]:
        path = place.stored / name
        kept = path.read_bytes()
        path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        error = place.refused()
        assert error.reason == "ResidualIncompatible"
        assert name in str(error)
        path.write_bytes(kept)
    assert place.run().blocks


def test_a_file_slipped_under_the_instruct_model_s_is_refused(place: Place) -> None:
    (place.stored / "donor" / "chat_template.json").write_text("{}")
    error = place.refused()
    assert error.reason == "ResidualIncompatible"
    assert "donor/chat_template.json is not in the manifest" in str(error)


def test_unchanged_data_does_not_read_the_residual_s_weights(place: Place) -> None:
    first = place.run()
    shard = next(place.stored.glob("*.safetensors"))
    data = shard.read_bytes()
    shard.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert place.run(unchanged_fingerprint=first.fingerprint).unchanged


def test_a_residual_that_is_not_there_is_told_before_the_training(place: Place) -> None:
    shutil.rmtree(place.stored)
    error = place.refused()
    assert error.reason == "ResidualIncompatible"
    assert place.residual in str(error)


def test_a_residual_of_another_model_is_refused_before_the_training(place: Place, tmp_path: pathlib.Path) -> None:
    other = builders.tiny_model(tmp_path / "other", arch=builders.QWEN3)
    assert place.refused(base=builders.uri(other)).reason == "ResidualIncompatible"


def test_an_incumbent_that_is_not_there_is_told_before_the_training(place: Place) -> None:
    error = place.refused(incumbent="7" * 64)
    assert error.reason == "ModelUnreadable"
    assert "7" * 64 in str(error)


def test_the_incumbent_s_context_counts_as_well(place: Place) -> None:
    with sealed.draft(place.root / "versions", kind="version", label="v") as draft:
        shutil.copytree(place.pair.instruct, draft.path, dirs_exist_ok=True)
        builders.edit_json(draft.path / "config.json", max_position_embeddings=24)
        digest = sealed.seal(draft).digest
    error = place.refused(incumbent=digest)
    assert error.reason == "EvaluationUnreadable"
    assert f"{digest} reads 24 tokens" in str(error)


def test_a_sequence_longer_than_the_base_s_context_is_refused(place: Place) -> None:
    error = place.refused(sequence_length=CONTEXT + 1)
    assert error.reason == "InvalidSpec"
    assert f"sequenceLength is {CONTEXT + 1}" in str(error)


@pytest.mark.parametrize(
    "damage",
    [
        lambda stored: {name: one for name, one in stored.items() if "layers.1.mlp.up_proj" not in name},
        lambda stored: stored | {"model.layers.1.extra.weight": stored["model.norm.weight"].clone()},
        lambda stored: stored | {"model.norm.weight": stored["model.norm.weight"][:-1].clone()},
    ],
    ids=["missing", "surplus", "other shape"],
)
def test_tensors_that_a_loader_would_fill_or_pass_over_are_refused(place: Place, damage: Any) -> None:  # noqa: ANN401
    file = place.pair.base / "model.safetensors"
    safetensors.torch.save_file(damage(safetensors.torch.load_file(file)), file, metadata={"format": "pt"})
    error = place.refused(residual=None)
    assert error.reason == "ModelUnreadable"
    assert "1 tensors are not those" in str(error)


def test_a_tokenizer_that_knows_more_tokens_than_the_base_is_refused(place: Place) -> None:
    file = place.pair.base / "tokenizer.json"
    model = json.loads(file.read_text())["model"]
    builders.edit_json(file, model=model | {"vocab": model["vocab"] | {"moon": builders.VOCABULARY}})
    error = place.refused(residual=None)
    assert error.reason == "ModelUnreadable"
    assert f"expected ids below {builders.VOCABULARY}" in str(error)


def test_lora_settings_that_cannot_be_attached_are_refused_before_the_training(place: Place) -> None:
    error = place.refused(train=dataclasses.replace(TRAIN, lora_rank=0))
    assert error.reason in ("InvalidSpec", "ModelUnreadable")


def test_a_training_that_no_gpu_of_the_request_can_hold_is_refused_with_its_parts_and_a_way_that_fits(
    place: Place,
) -> None:
    train = dataclasses.replace(TRAIN, method=Method.FULL, batch_size=4096, processes_per_node=2, gpu_memory="4.7G")
    error = place.refused(sequence_length=CONTEXT, train=train)
    assert error.reason == "InvalidSpec"
    assert "does not fit into its 2 GPUs with zeroStage 2, batchSize 4096, activations recomputed" in str(error)
    assert "of 4.7 GB per GPU (buffers 4.1, logits 2.0" in str(error)
    assert "it fits with zeroStage 1, batchSize" in str(error)


@pytest.mark.parametrize(("memory", "warned"), [("4.4G", True), ("80Gi", False)])
def test_a_training_that_may_just_fit_is_begun_and_warned_of(place: Place, memory: str, *, warned: bool) -> None:
    progress = builders.quiet(Stage.PREPARE)
    train = dataclasses.replace(TRAIN, gpu_memory=memory)
    assert stage_module.run(place.asked(train=train), progress).blocks
    assert any("may run out of GPU memory" in text for text in progress.warnings) == warned


def test_where_the_memory_of_gpus_is_not_known_nothing_is_said_but_in_the_log(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        assert place.run().blocks
    assert [text for text in caplog.messages if "no gpuMemory in the profile" in text]


@pytest.mark.parametrize("transfer", [None, Transfer.SAME_FAMILY])
def test_an_added_residual_of_some_other_base_is_refused_before_the_training(
    place: Place, tmp_path: pathlib.Path, transfer: Transfer | None
) -> None:
    moved = builders.disturbed(place.pair.base, tmp_path / "moved", seed=4)
    other = lay_out(place.root, dataclasses.replace(place.pair, base=moved)).residual
    start, added = builders.uri(place.pair.base), (AddedResidual(residual=other),)
    asked = MergeInput(start=start, residual=place.residual, transfer=transfer, added=added)
    assert place.refused(merge=asked).reason == "BaseMismatch"
    allowed = dataclasses.replace(asked, added=(AddedResidual(residual=other, transfer=Transfer.SAME_FAMILY),))
    assert place.run(merge=allowed).blocks
