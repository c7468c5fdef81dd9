"""A model answers as our stage asks it, whatever its own files would have it do."""

import logging
import pathlib
import shutil
from typing import Any

import pytest

from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.evaluation import generation
from tests.jobs import builders, corpora

LIMIT = 10
QUESTIONS = [f"what of {text}?" for text in corpora.sentences(5)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("models")
    return builders.disturbed(builders.tiny_pair(root).instruct, root / "talker", seed=5, size=0.5)


@pytest.fixture(scope="module")
def expected(model: pathlib.Path) -> list[generation.Reply]:
    return replies(model)


def replies(folder: pathlib.Path) -> list[generation.Reply]:
    chat = generation.Chat(folder)
    return chat.answer(QUESTIONS, max_new_tokens=LIMIT, progress=builders.quiet(Stage.EVALUATE))


@pytest.mark.parametrize(
    "settings",
    [
        {"min_length": 200, "min_new_tokens": 9},
        {"repetition_penalty": 9.0, "no_repeat_ngram_size": 1},
        {"suppress_tokens": list(range(2, 150)), "begin_suppress_tokens": list(range(150, 300))},
        {"bad_words_ids": [[number] for number in range(2, 300)]},
        {"forced_eos_token_id": 1, "forced_bos_token_id": 7},
        {"max_length": 3, "max_new_tokens": 1},
        {"do_sample": True, "temperature": 5.0, "top_k": 0, "num_beams": 3, "num_return_sequences": 2},
        {"cache_implementation": "static", "use_cache": False},
        {"sequence_bias": [[[5], 100.0]], "exponential_decay_length_penalty": [1, 9.0]},
        {"stop_strings": ["e", "a"], "max_time": 0.000001},
        {"return_dict_in_generate": True, "output_scores": True},
        {"guidance_scale": 3.0, "prompt_lookup_num_tokens": 2, "penalty_alpha": 0.6},
    ],
)
def test_a_models_generation_settings_change_no_reply(
    model: pathlib.Path, expected: list[generation.Reply], tmp_path: pathlib.Path, settings: dict[str, Any]
) -> None:
    copy = pathlib.Path(shutil.copytree(model, tmp_path / "copy"))
    builders.write_json(copy / "generation_config.json", {"eos_token_id": [1, 0], **settings})
    assert replies(copy) == expected


def test_the_engine_says_nothing_that_concerns_nobody(model: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        replies(model)
    assert [record.message for record in caplog.records if record.name.startswith("lm_eval")] == []


def test_what_config_and_tokenizer_switch_on_changes_no_reply(
    model: pathlib.Path, expected: list[generation.Reply], tmp_path: pathlib.Path
) -> None:
    copy = pathlib.Path(shutil.copytree(model, tmp_path / "copy"))
    builders.edit_json(
        copy / "config.json", output_hidden_states=True, return_dict=False, is_decoder=True, min_length=9
    )
    truncation = {"direction": "Left", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    builders.edit_json(copy / "tokenizer.json", truncation=truncation)
    builders.edit_json(copy / "tokenizer_config.json", padding_side="right", split_special_tokens=True, max_length=4)
    assert replies(copy) == expected


def test_what_a_template_has_the_model_think_is_not_its_answer(
    model: pathlib.Path, expected: list[generation.Reply], tmp_path: pathlib.Path
) -> None:
    copy = pathlib.Path(shutil.copytree(model, tmp_path / "copy"))
    (copy / "chat_template.jinja").write_text(builders.TEMPLATE + "<think>\n")
    found = replies(copy)
    assert {reply.text for reply in found} == {""}
    assert all(reply.thoughts for reply in found)
    assert all(not reply.thoughts for reply in expected)
