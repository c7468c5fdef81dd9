"""Words that the tokenizer does not know are told, and refused where they are most of the text."""

import pathlib

import pytest
import tokenizers
from tokenizers import models, pre_tokenizers

from modelrefresh.contract.stages.prepare import PrepareInput, PrepareSummary
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.attempt import stage_module
from modelrefresh_jobs.corpus import tokenization
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress
from tests.jobs import builders, corpora

KNOWN = [f"word{number}" for number in range(100)]


def with_vocabulary(folder: pathlib.Path, model: models.Model) -> pathlib.Path:
    """A tiny model that reads words by this vocabulary."""
    base = builders.tiny_model(folder)
    tiny = tokenizers.Tokenizer(model)
    tiny.pre_tokenizer = pre_tokenizers.Whitespace()
    tiny.save(str(base / "tokenizer.json"))
    builders.edit_json(base / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    return base


def words(*more: str) -> dict[str, int]:
    end = builders.tiny_tokenizer().eos_token
    return {word: number for number, word in enumerate([end, "<unk>", "<|end|>", *more])}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    vocabulary = models.WordLevel(vocab=words(*KNOWN), unk_token="<unk>")
    return with_vocabulary(tmp_path_factory.mktemp("models") / "base", vocabulary)


def prepared(root: pathlib.Path, base: pathlib.Path, progress: Progress, replay: str | None = None) -> PrepareSummary:
    wanted = PrepareInput(
        base=builders.uri(base),
        data=f"file://{root / 'data'}",
        replay=replay,
        replay_percent=50 if replay else 0,
        sequence_length=32,
        max_tokens=100_000,
    )
    summary: PrepareSummary = stage_module.run(builders.request(root / "ws", Stage.PREPARE, section=wanted), progress)
    return summary


def document(start: int, *strange: str) -> str:
    """Ten words that no other start gives, of which some may be strange."""
    return " ".join([*(KNOWN[(start * 7 + place) % 100] for place in range(10 - len(strange))), *strange])


def test_a_few_unknown_words_are_told_with_their_share_and_a_document(
    tmp_path: pathlib.Path, base: pathlib.Path
) -> None:
    data = corpora.texts(
        tmp_path / "data" / "a.jsonl", [document(0), document(1, "un"), document(2, "un", "heard"), document(3)]
    )
    progress = builders.quiet(Stage.PREPARE)
    prepared(tmp_path, base, progress)
    [said] = [text for text in progress.warnings if "unknown token" in text]
    assert "7.5%" in said
    assert f"document 3 of {data}" in said
    assert "heard" not in said


def test_known_words_are_not_told(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    corpora.texts(tmp_path / "data" / "a.jsonl", [document(number) for number in range(5)])
    progress = builders.quiet(Stage.PREPARE)
    prepared(tmp_path, base, progress)
    assert not [text for text in progress.warnings if "unknown token" in text]


def test_text_of_which_most_is_unknown_is_refused(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    corpora.texts(tmp_path / "data" / "a.jsonl", [document(1), *corpora.sentences(3)])
    with pytest.raises(StageError, match=r"does not know \d\d\.\d% of the text") as caught:
        prepared(tmp_path, base, builders.quiet(Stage.PREPARE))
    assert caught.value.reason == "NoData"
    assert not list((tmp_path / "ws").rglob("blocks"))


def test_unknown_words_of_replay_are_refused_under_its_own_name(tmp_path: pathlib.Path, base: pathlib.Path) -> None:
    corpora.texts(tmp_path / "data" / "a.jsonl", [document(number) for number in range(9)])
    replay = f"file://{corpora.texts(tmp_path / 'replay' / 'a.jsonl', corpora.sentences(3))}"
    with pytest.raises(StageError, match=f"{replay}: the tokenizer"):
        prepared(tmp_path, base, builders.quiet(Stage.PREPARE), replay)


@pytest.mark.parametrize(
    ("model", "unknown"),
    [
        (models.WordLevel(vocab=words("a"), unk_token="<unk>"), 1),
        (models.BPE(vocab=words("a"), merges=[], unk_token="<unk>"), 1),
        (models.BPE(vocab=words("a"), merges=[]), None),
        (models.Unigram([(word, -1.0) for word in words("a")], unk_id=1), 1),
    ],
)
def test_each_kind_of_vocabulary_names_its_unknown_token(
    tmp_path: pathlib.Path, model: models.Model, unknown: int | None
) -> None:
    assert tokenization.Tokens(with_vocabulary(tmp_path / "base", model)).unknown == unknown
