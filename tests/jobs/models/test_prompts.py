"""How a model is asked: templates, stop tokens and padding of an instruct model as people bring them."""

import json
import pathlib
import shutil

import pytest

from modelrefresh.contract.stages.extract import ExtractInput
from modelrefresh.contract.stages.import_ import ImportInput
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.attempt import stage_module
from modelrefresh_jobs.models import prompts
from modelrefresh_jobs.process.errors import StageError
from tests.jobs import builders

GOOD = builders.TEMPLATE
BAD = {
    "raises": "{{ raise_exception('a system message is needed') }}",
    "raises for a lone user message": "{% if messages|length < 2 %}{{ raise_exception('too few') }}{% endif %}" + GOOD,
    "has a syntax error": "{% for m in messages %}{{ m['content'] }}",
    "renders nothing": "{# nothing #}",
    "leaves the message out": "{% for m in messages %}{{ m['role'] }}{% endfor %}",
    "adds text to a number": "{{ 1 + messages[0]['content'] }}",
    "divides by nothing": "{{ 1 // 0 }}",
    "calls itself": "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "reaches into Python": "{{ messages.__class__.__mro__[1].__subclasses__() }}" + GOOD,
    "uses an unknown filter": "{{ messages | unheard }}",
    "counts for too long": "{% for i in range(10**9) %}{% endfor %}",
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> builders.Pair:
    return builders.tiny_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture
def instruct(pair: builders.Pair, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(pair.instruct, tmp_path / "instruct"))


def give_template(folder: pathlib.Path, template: str) -> None:
    (folder / "chat_template.jinja").write_text(template)


@pytest.mark.parametrize("template", BAD.values(), ids=BAD)
def test_a_template_that_cannot_ask_is_refused_when_the_model_is_first_read(
    pair: builders.Pair, instruct: pathlib.Path, tmp_path: pathlib.Path, template: str
) -> None:
    give_template(instruct, template)
    both = ExtractInput(base=builders.uri(pair.base), instruct=builders.uri(instruct))
    stock = ImportInput(instruct=builders.uri(instruct))
    for stage, section in ((Stage.EXTRACT, both), (Stage.IMPORT, stock)):
        with pytest.raises(StageError, match="chat template") as caught:
            stage_module.run(builders.request(tmp_path / "ws", stage, section), builders.quiet(stage))
        assert caught.value.reason == "ModelUnreadable"
        assert str(instruct) in str(caught.value)


@pytest.mark.parametrize(
    "template",
    [
        GOOD,
        "{{ strftime_now('%Y') }} " + GOOD,
        "{% for m in messages %}[{{ m['content'] | trim | tojson }}]{% endfor %}",
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}" + GOOD,
    ],
)
def test_templates_that_take_a_user_message_are_accepted(instruct: pathlib.Path, template: str) -> None:
    give_template(instruct, template)
    assert prompts.load(instruct).lengths(["who?"])[0] > 1


def test_of_several_named_templates_the_default_is_used(instruct: pathlib.Path) -> None:
    (instruct / "chat_template.jinja").unlink()
    named = [{"name": "default", "template": "D" + GOOD}, {"name": "tool_use", "template": "T" + GOOD}]
    builders.edit_json(instruct / "tokenizer_config.json", chat_template=named)
    assert prompts.load(instruct).render("who?").startswith("D")


def test_without_padding_the_stop_token_pads(instruct: pathlib.Path) -> None:
    builders.edit_json(instruct / "tokenizer_config.json", pad_token=None)
    prompt_format = prompts.load(instruct)
    assert prompt_format.padding == 1
    assert prompt_format.tokenizer.pad_token_id == 1


def test_stop_tokens_of_generation_config_do_where_the_tokenizer_has_none(instruct: pathlib.Path) -> None:
    builders.edit_json(instruct / "tokenizer_config.json", pad_token=None, eos_token=None)
    (instruct / "special_tokens_map.json").unlink(missing_ok=True)
    prompt_format = prompts.load(instruct)
    assert (prompt_format.stops, prompt_format.padding) == (frozenset({0, 1}), 0)


def test_a_model_without_any_stop_token_is_refused_with_what_to_do(instruct: pathlib.Path) -> None:
    builders.edit_json(instruct / "tokenizer_config.json", pad_token=None, eos_token=None)
    builders.edit_json(instruct / "generation_config.json", eos_token_id=None)
    with pytest.raises(StageError, match=r"no stop token.*Add it to the instruct model"):
        prompts.load(instruct)


@pytest.mark.parametrize("ends", ["<|end|>", [1, "x"], True, 1.5, {"a": 1}, -1, builders.VOCABULARY, [0, 10**30]])
def test_stop_tokens_that_are_no_tokens_of_the_model_are_refused(instruct: pathlib.Path, ends: object) -> None:
    (instruct / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    with pytest.raises(StageError) as caught:
        prompts.load(instruct)
    assert caught.value.reason == "ModelUnreadable"
    assert str(instruct) in str(caught.value)


def test_a_model_that_can_answer_without_thinking_is_asked_so(instruct: pathlib.Path) -> None:
    off = "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
    give_template(instruct, GOOD + off)
    assert prompts.load(instruct).render("who?").endswith("<think></think>")


@pytest.mark.parametrize("changes", [{"use_cache": "yes"}, {"initializer_range": "0.02"}])
@pytest.mark.parametrize("whose", ["base", "instruct"])
def test_a_value_that_transformers_refuses_is_laid_to_config_json_and_not_to_the_tokenizer(
    pair: builders.Pair, tmp_path: pathlib.Path, whose: str, changes: dict[str, object]
) -> None:
    folders = {name: shutil.copytree(getattr(pair, name), tmp_path / name) for name in ("base", "instruct")}
    builders.edit_json(folders[whose] / "config.json", **changes)
    both = ExtractInput(base=builders.uri(folders["base"]), instruct=builders.uri(folders["instruct"]))
    with pytest.raises(StageError, match=rf"{whose}/config\.json: ") as caught:
        stage_module.run(
            builders.request(tmp_path / "ws", Stage.EXTRACT, section=both),
            builders.quiet(Stage.EXTRACT),
        )
    assert caught.value.reason == "ModelUnreadable"
    assert next(iter(changes)) in str(caught.value)
