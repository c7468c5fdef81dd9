"""What a tokenizer's files switch on changes neither our tokens nor our texts; what they compute must agree."""

import json
import logging
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as some
from tokenizers import models, normalizers, trainers

from modelrefresh_jobs.corpus import tokenization
from modelrefresh_jobs.models import tokenizer, vocabularies
from modelrefresh_jobs.process.errors import StageError
from tests.jobs import builders, corpora

TRUNCATION = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
PADDING = {
    "strategy": {"Fixed": 64},
    "direction": "Left",
    "pad_to_multiple_of": 16,
    "pad_id": 5,
    "pad_type_id": 0,
    "pad_token": "'",
}
TEXTS = [*corpora.sentences(12), "  spaced , out .  ", "", "<|end|> spelled"]


@pytest.fixture(scope="module", params=[builders.LLAMA, builders.QWEN2])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return builders.tiny_model(tmp_path_factory.mktemp("models") / "base", arch=request.param)


def tokens(model: pathlib.Path) -> list[list[int]]:
    """The tokens of each text."""
    encoded = tokenization.Tokens(model).encode(TEXTS)
    return [part.tolist() for part in np.split(encoded.ids, np.cumsum(encoded.sizes)[:-1])]


def changed(base: pathlib.Path, target: pathlib.Path, change: Callable[[dict[str, Any]], object]) -> pathlib.Path:
    """A copy whose tokenizer.json was edited."""
    shutil.copytree(base, target, ignore=shutil.ignore_patterns("*.safetensors"))
    document = json.loads((target / "tokenizer.json").read_text())
    change(document)
    builders.write_json(target / "tokenizer.json", document)
    return target


@pytest.mark.parametrize(
    ("named", "change"),
    [
        ("truncation", lambda document: document.update(truncation=TRUNCATION)),
        ("padding", lambda document: document.update(padding=PADDING)),
        ("truncation and padding", lambda document: document.update(padding=PADDING, truncation=TRUNCATION)),
        ("dropout", lambda document: document["model"].update(dropout=0.9)),
    ],
)
def test_what_a_saved_tokenizer_has_switched_on_is_named_and_changes_no_token(
    base: pathlib.Path,
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
    named: str,
    change: Callable[[dict[str, Any]], object],
) -> None:
    expected = tokens(base)
    assert "not applied" not in caplog.text
    with caplog.at_level(logging.WARNING):
        found = tokens(changed(base, tmp_path / "copy", change))
    assert found == expected
    dropped = named == "dropout" and "Qwen2" in json.loads((base / "config.json").read_text())["architectures"][0]
    assert dropped or f"saved with {named}, which is not applied" in caplog.text  # Qwen2's class drops dropout itself


@pytest.mark.parametrize(
    "settings",
    [
        {"add_bos_token": True, "add_eos_token": True},
        {"padding_side": "left", "truncation_side": "left", "model_max_length": 4},
        {"split_special_tokens": True},
        {"clean_up_tokenization_spaces": True},
        {"max_length": 4, "truncation": True, "stride": 1},
    ],
)
def test_settings_of_a_tokenizer_change_neither_tokens_nor_texts(
    base: pathlib.Path, tmp_path: pathlib.Path, settings: dict[str, Any]
) -> None:
    copy = changed(base, tmp_path / "copy", lambda _document: None)
    builders.edit_json(copy / "tokenizer_config.json", **settings)
    ours, theirs = tokenizer.load(base), tokenizer.load(copy)
    assert tokens(copy) == tokens(base)
    prompt = {"text": [*TEXTS, "user: hello <|end|>"], "add_special_tokens": False}
    assert theirs(**prompt)["input_ids"] == ours(**prompt)["input_ids"]
    said = "well , yes . I do n't ."
    assert theirs.decode(theirs(said, add_special_tokens=False)["input_ids"]) == said


@pytest.mark.parametrize(
    ("named", "change"),
    [
        ("the vocabularies differ", lambda document: document["model"]["vocab"].update({"zzz": 400})),
        ("the merges differ", lambda document: document["model"]["merges"].pop()),
    ],
)
def test_tokenizers_with_other_tokens_are_told_apart(
    base: pathlib.Path, tmp_path: pathlib.Path, named: str, change: Callable[[dict[str, Any]], object]
) -> None:
    assert f"tokenizers: {named}" in vocabularies.differences(base, changed(base, tmp_path / "copy", change))


@pytest.mark.parametrize(
    ("named", "change"),
    [
        ("normalizer", lambda document: document.update(normalizer={"type": "Lowercase"})),
        ("pre_tokenizer", lambda document: document["pre_tokenizer"].update(add_prefix_space=True)),
        ("pre_tokenizer", lambda document: document.update(pre_tokenizer={"type": "Whitespace"})),
        ("model.ignore_merges", lambda document: document["model"].update(ignore_merges=True)),
        ("model.byte_fallback", lambda document: document["model"].update(byte_fallback=True)),
    ],
)
def test_tokenizers_that_read_a_text_otherwise_are_told_apart_with_both_values(
    tmp_path: pathlib.Path, named: str, change: Callable[[dict[str, Any]], object]
) -> None:
    base = builders.tiny_model(tmp_path / "base")
    (fault,) = vocabularies.differences(base, changed(base, tmp_path / "copy", change))
    assert fault.startswith(f"tokenizers: {named} in base ")
    assert ", in instruct " in fault


def test_another_spelling_of_the_same_tokenizer_is_the_same(base: pathlib.Path, tmp_path: pathlib.Path) -> None:
    def respell(document: dict[str, Any]) -> None:
        model = document["model"]
        model["merges"] = [one if isinstance(one, str) else " ".join(one) for one in model["merges"]]
        model |= {"continuing_subword_prefix": "", "end_of_word_suffix": "", "dropout": 0.1}
        model.pop("ignore_merges", None)
        document["pre_tokenizer"].pop("use_regex", None)
        document["added_tokens"] = document["added_tokens"][:1]

    assert vocabularies.differences(base, changed(base, tmp_path / "copy", respell)) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model": {"type": "BPE"}}', "\x00" * 9, '{"model": 7}'])
def test_a_tokenizer_that_is_none_is_the_users_fault(base: pathlib.Path, tmp_path: pathlib.Path, text: str) -> None:
    copy = changed(base, tmp_path / "copy", lambda _document: None)
    (copy / "tokenizer.json").write_text(text)
    with pytest.raises(StageError, match=str(copy)) as caught:
        tokenizer.load(copy)
    assert caught.value.reason == "ModelUnreadable"


def encoded(vocabulary: tokenization.Tokens, texts: list[str]) -> list[list[int]]:
    found = vocabulary.encode(texts)
    return [part.tolist() for part in np.split(found.ids, np.cumsum(found.sizes))][: len(texts)]


def expected(model: pathlib.Path, texts: list[str]) -> list[list[int]]:
    """The tokens by `tokenizers`, with begin and end."""
    loaded = tokenizer.load(model)
    loaded.backend_tokenizer.encode_special_tokens = True
    head = [] if loaded.bos_token_id in (None, loaded.eos_token_id) else [loaded.bos_token_id]
    inner = loaded.backend_tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    return [[*head, *one.ids, loaded.eos_token_id] for one in inner]


def test_both_engines_give_the_same_tokens_on_any_text(base: pathlib.Path) -> None:
    vocabulary = tokenization.Tokens(base)
    assert vocabulary.is_fast

    @settings(max_examples=200, deadline=None)
    @given(some.lists(some.text(some.characters(exclude_categories=["Cs"]), max_size=80), min_size=1, max_size=5))
    def agree(texts: list[str]) -> None:
        assert encoded(vocabulary, texts) == expected(base, texts)

    agree()
    assert encoded(vocabulary, []) == []


def test_a_tokenizer_that_the_fast_engine_reads_otherwise_is_read_as_before(tmp_path: pathlib.Path) -> None:
    model = builders.tiny_model(tmp_path / "base")
    sentencepiece_like(model)
    vocabulary = tokenization.Tokens(model)
    texts = [*TEXTS, "a <|end|> b", "<|end|>"]
    assert not vocabulary.is_fast
    assert encoded(vocabulary, texts) == expected(model, texts)
    end = tokenizer.load(model).convert_tokens_to_ids("<|end|>")
    assert not any(end in one[:-1] for one in encoded(vocabulary, texts))


def sentencepiece_like(model: pathlib.Path) -> None:
    """Give the model a tokenizer as of Llama 2: bytes for what it does not know, no pattern between words."""
    tiny = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tiny.normalizer = normalizers.Replace(" ", "\u2581")
    specials = ["<unk>", builders.tiny_tokenizer().eos_token, "<|end|>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=specials, show_progress=False)
    tiny.train_from_iterator(corpora.sentences(50), trainer)
    tiny.save(str(model / "tokenizer.json"))
    builders.edit_json(model / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
