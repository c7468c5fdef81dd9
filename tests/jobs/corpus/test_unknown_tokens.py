"""What a tokenizer has no token for is not learnt, and that is said."""

import logging
import pathlib
import shutil

import pytest
import tokenizers
import transformers

from modelrefresh.contract.stages.prepare import PrepareInput, PrepareSummary
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.attempt import stage_module
from modelrefresh_jobs.process.errors import StageError
from tests.jobs import builders, corpora

KNOWN = "known words only stand here and are learnt as they are "


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A model whose tokenizer knows some words and has one token for all others."""
    folder = tmp_path_factory.mktemp("models") / "base"
    shutil.copytree(builders.tiny_model(folder.with_name("source")), folder)
    words = ["<unk>", "<end>", *sorted(set(KNOWN.split()))]
    model = tokenizers.models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>")
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>").save_pretrained(folder)
    return folder


def prepare(root: pathlib.Path, base: pathlib.Path, texts: list[str]) -> PrepareSummary:
    corpora.texts(root / "data" / "a.jsonl", texts)
    section = PrepareInput(
        base=builders.uri(base), data=f"file://{root / 'data'}", sequence_length=16, max_tokens=10_000
    )
    request = builders.request(root / "ws", Stage.PREPARE, section=section)
    return stage_module.run(request, builders.quiet(Stage.PREPARE))


def numbered(count: int, *, strange: int) -> list[str]:
    """Different texts, of whose words this many are unknown in each."""
    words = KNOWN.split()
    return [" ".join([*words[n % 9 :], *words * (1 + n), *[f"strange{n}"] * strange]) for n in range(count)]


def test_a_share_of_unknown_tokens_is_told(
    tmp_path: pathlib.Path, base: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert prepare(tmp_path, base, numbered(6, strange=2)).kept
    assert "of the tokens are unknown to the tokenizer of" in caplog.text


def test_text_that_is_mostly_unknown_is_refused(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    with pytest.raises(StageError, match=r"8\d\.\d% of the tokens are unknown"):
        prepare(tmp_path, base, [f"words of another language {n} were never in the vocabulary" for n in range(6)])


def test_nothing_is_said_where_all_is_known(
    tmp_path: pathlib.Path, base: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        prepare(tmp_path, base, numbered(6, strange=0))
    assert "unknown" not in caplog.text
