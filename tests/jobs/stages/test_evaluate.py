"""Evaluate: two tiny models answer the same items through lm-evaluation-harness."""

import json
import pathlib
import shutil

import pytest
import torch
import transformers

from modelrefresh.contract import stage_request
from modelrefresh.contract.stages.evaluate import EvaluateInput, EvaluateSummary, Score
from modelrefresh.contract.vocabulary import Stage, Task
from modelrefresh_jobs.attempt import stage_module
from modelrefresh_jobs.evaluation import generation
from modelrefresh_jobs.models import tokenizer
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.stages import evaluate
from modelrefresh_jobs.storage import run_folders, sealed
from tests.jobs import builders, corpora

LIMIT = 12


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A workspace with two versions, and suites whose right answers are the candidate's own."""
    root = tmp_path_factory.mktemp("workspace")
    pair = builders.tiny_pair(root / "models")
    talkers = [
        builders.disturbed(pair.instruct, root / "models" / name, seed=seed, size=0.5)
        for name, seed in (("candidate", 5), ("incumbent", 9))
    ]
    digests = [publish(root, folder) for folder in talkers]
    (root / "digests").write_text(" ".join(digests))
    questions = [f"question {number} about {text}" for number, text in enumerate(corpora.sentences(30))]
    chat = generation.Chat(talkers[0])
    replies = chat.answer(questions, max_new_tokens=LIMIT, progress=builders.quiet(Stage.EVALUATE))
    pairs = list(zip(questions, replies, strict=True))
    corpora.write(root / "facts.jsonl", [{"question": one, "answer": reply.text or "-"} for one, reply in pairs])
    corpora.write(root / "form.jsonl", [{"question": one, "pattern": "(?s).*"} for one, _ in pairs])
    return root


def publish(root: pathlib.Path, folder: pathlib.Path) -> str:
    with sealed.draft(root / "versions", kind="version", label="version") as made:
        shutil.copytree(folder, made.path, dirs_exist_ok=True)
        return sealed.seal(made).digest


def digests(root: pathlib.Path) -> list[str]:
    return (root / "digests").read_text().split()


def asked(
    root: pathlib.Path, candidate: str, incumbent: str | None, *, max_items: int = 1000
) -> stage_request.StageRequest:
    wanted = (
        corpora.suite(root / "facts.jsonl"),
        corpora.suite(root / "form.jsonl", task=Task.INSTRUCTION_FOLLOWING, name="form"),
    )
    section = EvaluateInput(
        candidate=candidate, incumbent=incumbent, suites=wanted, max_items=max_items, max_new_tokens=LIMIT
    )
    return builders.request(root, Stage.EVALUATE, section=section)


def run(request: stage_request.StageRequest) -> EvaluateSummary:
    return evaluate.run(request.section, run_folders.of(request), builders.quiet(Stage.EVALUATE))


def scores(summary: EvaluateSummary) -> dict[str, Score]:
    return {f"{score.suite}/{score.metric}": score for score in summary.scores}


def test_candidate_and_incumbent_are_compared_on_the_same_items(root: pathlib.Path) -> None:
    candidate, incumbent = digests(root)
    request = asked(root, candidate, incumbent)
    summary = run(request)
    found = scores(summary)
    assert list(found) == ["facts/exact_match", "facts/contains", "form/follows"]
    exact = found["facts/exact_match"]
    assert exact.items == 30
    assert exact.incumbent is not None
    assert exact.candidate > exact.incumbent
    assert exact.difference == pytest.approx(exact.candidate - exact.incumbent, abs=1e-5)
    folder = evaluate.artifact(run_folders.of(request), summary)
    assert folder is not None
    assert sealed.is_sealed(folder)
    records = [json.loads(line) for line in (folder / "facts.jsonl").read_text().splitlines()]
    assert sum(record["candidate"]["exact_match"] for record in records) == round(exact.candidate * 30)
    assert {"reply", "stopped"} <= records[0]["incumbent"].keys()


def test_a_model_that_is_its_own_incumbent_answers_once(root: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[pathlib.Path] = []
    chat = generation.Chat
    monkeypatch.setattr(generation, "Chat", lambda folder: (loaded.append(folder), chat(folder))[1])
    candidate, _ = digests(root)
    found = scores(run(asked(root, candidate, candidate, max_items=5)))
    assert len(loaded) == 1
    assert {score.difference for score in found.values()} == {0.0}
    assert found["form/follows"].items == 5


def test_the_first_version_is_scored_without_an_incumbent(root: pathlib.Path) -> None:
    score = run(asked(root, digests(root)[0], None, max_items=5)).scores[0]
    assert (score.incumbent, score.difference, score.error) == (None, None, None)


def test_batches_and_padding_do_not_change_what_is_answered(
    root: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = ["short", "a question that is a good deal longer than the short one", "middle size here"]
    folder, progress = root / "models" / "candidate", builders.quiet(Stage.EVALUATE)
    together = generation.Chat(folder).answer(questions, max_new_tokens=LIMIT, progress=progress)
    monkeypatch.setattr(generation, "_BATCH", 1)
    assert generation.Chat(folder).answer(questions, max_new_tokens=LIMIT, progress=progress) == together


def test_a_reply_says_whether_a_stop_token_ended_it(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    progress = builders.quiet(Stage.EVALUATE)
    never = root / "models" / "candidate"
    always = tmp_path / "always"
    shutil.copytree(never, always)
    every_token = list(range(builders.VOCABULARY))
    (always / "generation_config.json").write_text(json.dumps({"eos_token_id": every_token}))
    (stopped,) = generation.Chat(always).answer(["who?"], max_new_tokens=LIMIT, progress=progress)
    assert (stopped.text, stopped.stopped) == ("", True)
    (cut,) = generation.Chat(never).answer(["who?"], max_new_tokens=1, progress=progress)
    assert not cut.stopped


def test_replies_that_mostly_do_not_end_are_warned_of(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    talker = root / "models" / "candidate"
    brief = pathlib.Path(shutil.copytree(talker, tmp_path / "brief"))
    (brief / "generation_config.json").write_text(json.dumps({"eos_token_id": list(range(builders.VOCABULARY))}))
    section = EvaluateInput(
        candidate=builders.uri(brief),
        incumbent=builders.uri(talker),
        suites=(corpora.suite(root / "facts.jsonl"),),
        max_new_tokens=1,
    )
    progress = builders.quiet(Stage.EVALUATE)
    stage_module.run(builders.request(root, Stage.EVALUATE, section=section), progress)
    (said,) = progress.warnings
    assert "30 of 30 replies of the incumbent did not end within maxNewTokens (1)" in said


def test_a_version_that_was_damaged_is_not_evaluated(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.copytree(root, tmp_path / "ws")
    candidate, incumbent = digests(root)
    (tmp_path / "ws" / "versions" / incumbent / "model.safetensors").write_bytes(b"")
    with pytest.raises(StageError, match=r"model\.safetensors has 0 bytes") as caught:
        run(asked(tmp_path / "ws", candidate, incumbent))
    assert caught.value.reason == "ModelUnreadable"


def spelling(folder: pathlib.Path, text: str) -> list[int]:
    """The ordinary tokens that spell a text, even where it looks like a special token."""
    backend = tokenizer.load(folder).backend_tokenizer
    backend.encode_special_tokens = True
    return list(backend.encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("end", [[], [1]], ids=["cut", "stopped"])
@pytest.mark.parametrize(
    "text",
    ["", "<|end|>", "<|end|> blue", "blue<|end|>", "<|text|>", "a<|end|>b<|end|>", "\ue000", "\ue001", "\ue001x\ue000"],
)
def test_whatever_a_model_says_is_its_reply(
    root: pathlib.Path, text: str, end: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = root / "models" / "candidate"
    said = spelling(folder, text) + end

    def generate(_: object, input_ids: torch.Tensor, **_settings: object) -> torch.Tensor:
        return torch.cat([input_ids, torch.tensor([said] * len(input_ids), dtype=torch.int64)], 1)

    monkeypatch.setattr(transformers.LlamaForCausalLM, "generate", generate)
    (reply,) = generation.Chat(folder).answer(["who?"], max_new_tokens=40, progress=builders.quiet(Stage.EVALUATE))
    assert (reply.text, reply.stopped) == (text, bool(end))


@pytest.mark.parametrize(
    "setting",
    [
        {"max_new_tokens": 2},
        {"repetition_penalty": 9.0},
        {"stop_strings": ["a"]},
        {"return_dict_in_generate": True},
        {"suppress_tokens": list(range(2, 200))},
        {"num_beams": 3},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_of_the_model_s_own_generation_settings_only_the_stop_tokens_count(
    root: pathlib.Path, tmp_path: pathlib.Path, setting: dict[str, object]
) -> None:
    plain, progress = root / "models" / "candidate", builders.quiet(Stage.EVALUATE)
    tuned = shutil.copytree(plain, tmp_path / "tuned")
    builders.edit_json(tuned / "generation_config.json", **setting)
    questions = ["who?", "what is the answer"]
    wanted = generation.Chat(plain).answer(questions, max_new_tokens=LIMIT, progress=progress)
    assert generation.Chat(tuned).answer(questions, max_new_tokens=LIMIT, progress=progress) == wanted


@pytest.mark.parametrize(("words", "limit"), [(40, LIMIT), (1, 128), (1, 4096)])
def test_a_question_that_does_not_fit_is_never_cut(root: pathlib.Path, words: int, limit: int) -> None:
    chat = generation.Chat(root / "models" / "candidate")
    with pytest.raises(StageError, match="reads 128 tokens") as caught:
        chat.answer(["first " * words], max_new_tokens=limit, progress=builders.quiet(Stage.EVALUATE))
    assert caught.value.reason in ("EvaluationUnreadable", "InvalidSpec")


@pytest.mark.parametrize("fault", ["missing", "without a template", "too short a context"])
def test_an_incumbent_that_cannot_answer_is_told_before_the_candidate_is_asked(
    root: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    workspace = shutil.copytree(root, tmp_path / "ws")
    candidate, incumbent = digests(root)
    broken = shutil.copytree(workspace / "versions" / incumbent, tmp_path / "broken")
    if fault == "without a template":
        (broken / "chat_template.jinja").unlink()
    if fault == "too short a context":
        builders.edit_json(broken / "config.json", max_position_embeddings=LIMIT)
    (broken / "manifest.json").unlink()
    digest = "7" * 64 if fault == "missing" else publish(workspace, broken)
    monkeypatch.setattr(generation, "Chat", lambda _: pytest.fail("a model was loaded"))
    with pytest.raises(StageError) as caught:
        run(asked(workspace, candidate, digest))
    assert digest in str(caught.value)
