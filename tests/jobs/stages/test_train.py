"""Train in one process: it learns, it resumes exactly, and it gives up cleanly."""

import dataclasses
import errno
import hashlib
import json
import math
import pathlib
import shutil

import pytest
import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file, save_file

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import LearningRateSchedule, Method
from modelrefresh_jobs.corpus import packing
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import run_folders, sealed
from modelrefresh_jobs.training import checkpointing, progress_file, step_plan, trainer_arguments
from tests.jobs import builders, corpora
from tests.jobs.runs import Run, same

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


@dataclasses.dataclass
class _Room:
    """What `shutil.disk_usage` tells."""

    free: int


class _Noted(Progress):
    """A progress that remembers the learning rate of every step."""

    def __init__(self, *, stage: str) -> None:
        super().__init__(stage=stage)
        self.rates: list[float] = []

    def report(self, done: int, total: int, *, unit: str = "items", **gauges: float) -> None:
        self.rates.append(gauges["learning_rate"])
        super().report(done, total, unit=unit, **gauges)


@pytest.mark.parametrize("arch", [builders.LLAMA, builders.QWEN2])
def test_full_training_lowers_the_loss_and_seals_a_checkpoint_that_loads(tmp_path: pathlib.Path, arch: str) -> None:
    run = Run(tmp_path, arch=arch, epochs=2)
    summary = run.train()
    assert summary.last_loss < summary.first_loss - 0.5
    marks = packing.load(run_folders.of(run.request).blocks)[1]
    assert (summary.tokens, summary.passes) == (2 * int((marks != packing.PADDING).sum()), 2.0)
    assert sealed.verify(run.layout.trained, deep=True).kind == "trained"
    model = transformers.AutoModelForCausalLM.from_pretrained(run.layout.trained)
    assert model.config.tie_word_embeddings == (arch == builders.QWEN2)
    assert not run.layout.checkpoints.exists()


@pytest.mark.parametrize("arch", [builders.LLAMA, builders.QWEN2])
def test_lora_trains_all_linear_layers_and_where_asked_the_embeddings(tmp_path: pathlib.Path, arch: str) -> None:
    run = Run(tmp_path, arch=arch, method=Method.LORA, lora_embeddings=True)
    assert run.train().last_loss < 6
    settings = json.loads((run.layout.trained / "adapter_config.json").read_text())
    base = transformers.AutoModelForCausalLM.from_pretrained(run.base)
    before = base.get_input_embeddings().weight.detach().clone()
    merged = PeftModel.from_pretrained(base, run.layout.trained).merge_and_unload()
    after = merged.get_input_embeddings().weight
    adapted = {name.rsplit(".", 1)[-1] for name in settings["target_modules"]}
    assert adapted == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert not torch.equal(before, after)
    tied = merged.get_output_embeddings().weight.data_ptr() == after.data_ptr()
    assert tied == (arch == builders.QWEN2)


def test_lora_leaves_the_embeddings_alone_unless_asked(tmp_path: pathlib.Path) -> None:
    run = Run(tmp_path, method=Method.LORA)
    run.train()
    assert all(".lora_" in name for name in run.weights())


@pytest.mark.parametrize(
    ("schedule", "middle", "last"),
    [
        (LearningRateSchedule.LINEAR, 0.5, 0.0),
        (LearningRateSchedule.COSINE, 0.5, 0.0),
        (LearningRateSchedule.CONSTANT, 1.0, 1.0),
        (LearningRateSchedule.WARMUP_STABLE_DECAY, 1.0, 0.2),
    ],
)
def test_the_rate_rises_over_the_warm_up_and_then_goes_by_the_schedule(
    tmp_path: pathlib.Path, schedule: LearningRateSchedule, middle: float, last: float
) -> None:
    run = Run(tmp_path, epochs=1, warmup_ratio=0.5, learning_rate_schedule=schedule, learning_rate=1e-3)
    run.progress = noted = _Noted(stage="train")
    steps, rates = run.train().steps, [rate / 1e-3 for rate in noted.rates]
    warm = round(steps / 2)
    assert rates[: warm + 1] == pytest.approx([step / warm for step in range(warm)] + [1.0], abs=0.01)
    assert rates[warm + (steps - warm) // 2] == pytest.approx(middle, abs=0.1)
    assert rates[-1] == pytest.approx(last, abs=0.15)


@pytest.mark.parametrize("method", list(Method))
def test_where_no_rate_is_asked_for_it_is_that_of_the_method(tmp_path: pathlib.Path, method: Method) -> None:
    wanted = TrainInput(start="file:///x", method=method, sequence_length=32)
    built = trainer_arguments.build(wanted, output=tmp_path, course=step_plan.plan(wanted, blocks=9), fitted=None)
    assert built.learning_rate == {Method.LORA: 2e-4, Method.FULL: 2e-5}[method]


@pytest.mark.parametrize("method", list(Method))
def test_a_preempted_run_ends_exactly_like_one_that_was_not(tmp_path: pathlib.Path, method: Method) -> None:
    whole, broken = Run(tmp_path / "whole", method=method), Run(tmp_path / "broken", method=method)
    expected = whole.train()
    left = broken.train_until(5)
    summary = broken.train()
    assert (left.reason, left.exit_code) == ("Preempted", ExitCode.PREEMPTED)
    assert (summary.resumed_step, summary.lost_steps) == (5, 0)
    assert (summary.last_loss, summary.steps) == (expected.last_loss, expected.steps)
    assert same(whole.weights(), broken.weights())


def test_checkpoints_are_made_by_the_clock_and_two_are_kept(tmp_path: pathlib.Path) -> None:
    run = Run(tmp_path, checkpoint_seconds=0)
    run.train_until(5)
    assert sorted(path.name for path in run.layout.checkpoints.iterdir()) == ["checkpoint-4", "checkpoint-5"]
    assert all(sealed.is_sealed(path) for path in run.layout.checkpoints.iterdir())


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(tmp_path: pathlib.Path) -> None:
    whole, run = Run(tmp_path / "whole"), Run(tmp_path / "run", checkpoint_seconds=0)
    whole.train()
    run.train_until(5)
    weights = run.layout.checkpoints / "checkpoint-5" / "model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.write_bytes(damaged)
    summary = run.train()
    assert (summary.resumed_step, summary.lost_steps) == (4, 1)
    [told] = run.progress.warnings
    assert told.startswith("checkpoint at step 5 cannot be used, trying the one before")
    assert "model.safetensors has changed since it was sealed" in told
    assert same(whole.weights(), run.weights())


def test_a_checkpoint_that_was_not_finished_gives_way_without_a_word(tmp_path: pathlib.Path) -> None:
    run = Run(tmp_path, checkpoint_seconds=0)
    run.train_until(5)
    (run.layout.checkpoints / "checkpoint-5" / "manifest.json").unlink()
    ended = run.train()
    assert (ended.resumed_step, run.progress.warnings) == (4, [])


def test_a_seal_that_fails_ends_the_run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run = Run(tmp_path, checkpoint_seconds=0)
    monkeypatch.setattr(checkpointing, "seal", refuse)
    with pytest.raises(OSError, match="No space left"):
        run.train()


def test_a_checkpoint_of_other_blocks_is_not_gone_on_from(tmp_path: pathlib.Path) -> None:
    run = Run(tmp_path)
    run.train_until(5)
    corpora.prepared(tmp_path, run.base, documents=61)
    ended = run.train()
    assert (ended.resumed_step, ended.lost_steps) == (0, 0)


def test_a_checkpoint_of_other_settings_is_not_gone_on_from(tmp_path: pathlib.Path) -> None:
    run = Run(tmp_path)
    run.train_until(5)
    other = dataclasses.replace(run.request.section, learning_rate=1e-3, checkpoint_seconds=7)
    run.request = dataclasses.replace(run.request, section=other)
    ended = run.train()
    assert (ended.resumed_step, ended.lost_steps) == (0, 0)


def test_what_was_trained_says_from_which_blocks(tmp_path: pathlib.Path) -> None:
    run = Run(tmp_path)
    run.train()
    assert sealed.read(run.layout.trained).parents["blocks"] == sealed.read(run_folders.of(run.request).blocks).digest


def test_checkpoints_of_earlier_releases_are_still_gone_on_from() -> None:
    wanted = TrainInput(start="file:///x", learning_rate=1.0, checkpoint_seconds=5, epochs=2.0, zero_stage=0)
    said = '{"epochs": 2.0, "learning_rate": 1.0, "start": "file:///x"}'
    ours = progress_file.made_from(wanted, blocks="b")
    assert ours == {"blocks": "b", "settings": hashlib.sha256(said.encode()).hexdigest()}
    assert progress_file.fits({"blocks": "b"}, ours)
    assert not progress_file.fits({"blocks": "c"}, ours)


def test_every_setting_that_may_be_left_out_has_a_value_that_counts_as_absent() -> None:
    optional = {field.name for field in dataclasses.fields(TrainInput) if field.default is not dataclasses.MISSING}
    unsaid = {name for name in optional if field_default(name) is None}
    assert optional == unsaid | set(progress_file.UNSAID) | progress_file.WITHOUT_EFFECT


def field_default(name: str) -> object:
    return next(field.default for field in dataclasses.fields(TrainInput) if field.name == name)


def test_blocks_of_another_length_than_asked_for_are_refused_with_both(tmp_path: pathlib.Path) -> None:
    run = Run(tmp_path)
    corpora.prepared(tmp_path, run.base, sequence_length=64)
    with pytest.raises(StageError, match=r"is 32, but the prepared blocks hold 64 tokens"):
        run.train()


def test_a_loss_that_is_not_finite_stops_the_run_and_nothing_is_kept(tmp_path: pathlib.Path) -> None:
    run = Run(tmp_path, learning_rate=1e18, warmup_ratio=0.0)
    with pytest.raises(StageError, match="learningRate") as caught:
        run.train()
    assert (caught.value.reason, caught.value.exit_code) == ("TrainingDiverged", ExitCode.DIVERGED)
    assert not run.layout.trained.exists()


def test_weights_that_are_not_finite_from_the_start_are_found_at_the_first_step(tmp_path: pathlib.Path) -> None:
    run = Run(tmp_path)
    file = run.base / "model.safetensors"
    weights = load_file(file)
    weights["model.norm.weight"][0] = torch.nan
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(StageError, match=r"step 1: loss is nan"):
        run.train()


def test_blocks_longer_than_the_model_knows_are_refused_with_both_numbers(tmp_path: pathlib.Path) -> None:
    run = Run(tmp_path)
    builders.edit_json(run.base / "config.json", max_position_embeddings=16)
    with pytest.raises(StageError, match=r"sequenceLength is 32, but .* knows 16 positions"):
        run.train()


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("accumulation", [1, 3])
def test_a_last_block_with_nothing_to_predict_is_no_divergence(
    tmp_path: pathlib.Path, batch: int, accumulation: int
) -> None:
    run = Run(tmp_path, batch_size=batch, gradient_accumulation=accumulation, epochs=1.0)
    document = (5, 6, 7, 8) * 8
    run.pack(*[document] * 4, (9,))
    summary = run.train()
    assert (summary.tokens, summary.passes, math.isfinite(summary.last_loss)) == (4 * 32, 1.0, True)


@pytest.mark.parametrize("batch", [1, 3, 8, 1000])
def test_each_block_is_trained_as_often_as_asked_whatever_the_batch(tmp_path: pathlib.Path, batch: int) -> None:
    run = Run(tmp_path, batch_size=batch, epochs=1.0)
    run.pack(*[(5, 6, 7, 8) * 8] * 9, (5, 6, 7))
    summary = run.train()
    assert (summary.tokens, summary.passes, summary.steps) == (9 * 32 + 3, 1.0, math.ceil(10 / batch))


def test_a_step_that_is_not_full_weighs_its_tokens_alone(tmp_path: pathlib.Path) -> None:
    small, large = Run(tmp_path / "small", batch_size=3, epochs=1.0), Run(tmp_path / "large", batch_size=64, epochs=1.0)
    for run in (small, large):
        run.pack(*[(5, 6, 7, 8) * 8] * 3)
        run.train()
    assert same(small.weights(), large.weights())


def test_a_run_without_blocks_says_that_nothing_was_prepared(tmp_path: pathlib.Path) -> None:
    run = Run(tmp_path)
    (tmp_path / "runs" / "chat" / "r1" / "prepare" / "blocks" / "manifest.json").unlink()
    with pytest.raises(StageError, match="nothing was finished here"):
        run.train()


@pytest.mark.parametrize(("method", "begins"), [(Method.FULL, False), (Method.LORA, True)])
def test_no_training_begins_whose_checkpoint_has_no_room(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, method: Method, *, begins: bool
) -> None:
    run = Run(tmp_path, method=method)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Room(free=100))
    caught = run.train_until(2)
    assert (caught.reason == "Preempted") is begins
    assert begins or (caught.reason, caught.exit_code) == ("InsufficientStorage", ExitCode.TRANSIENT)
    assert (run.progress.done > 0) is begins
