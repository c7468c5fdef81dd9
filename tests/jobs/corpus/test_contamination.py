"""Words, overlap with suites and near duplicates, in languages with and without spaces."""

import pathlib
import random

import pytest

from modelrefresh_jobs.corpus import deduplication, scan, word_hashes, words
from modelrefresh_jobs.corpus.contamination import Overlap

ALPHABETS = {
    "Chinese": range(0x4E00, 0x5E00),
    "Japanese": range(0x3041, 0x3097),
    "Thai": range(0x0E01, 0x0E31),
    "Lao": range(0x0E94, 0x0EA0),
    "Khmer": range(0x1780, 0x17B4),
    "Burmese": range(0x1000, 0x102B),
    "rare Chinese": range(0x20000, 0x20800),
}
SPACED = {
    "English": range(0x61, 0x7B),
    "Russian": range(0x430, 0x450),
    "Hindi": range(0x905, 0x93A),
    "Korean": range(0xAC00, 0xB000),
}


def characters(language: str, count: int, *, seed: int) -> str:
    draw = random.Random(f"{language} {seed}")  # noqa: S311 -- repeatable on purpose
    return "".join(chr(draw.choice((ALPHABETS | SPACED)[language])) for _ in range(count))


def text(language: str, count: int, *, seed: int) -> str:
    """So many words of a language."""
    if language in ALPHABETS:
        return characters(language, count, seed=seed)
    return " ".join(characters(language, 6, seed=1000 * seed + number) for number in range(count))


def shares(question: str, document: str) -> dict[str, float]:
    overlap = Overlap({"facts": [question]})
    overlap.note(overlap.found(words.split(document)))
    return overlap.shares()


@pytest.mark.parametrize("language", [*ALPHABETS, *SPACED])
@pytest.mark.parametrize("length", [8, 12, 13, 30])
def test_a_question_that_stands_in_the_text_is_seen_in_any_script(language: str, length: int) -> None:
    question = text(language, length, seed=1)
    space = "" if language in ALPHABETS else " "
    document = space.join((text(language, 50, seed=2), question, text(language, 50, seed=3)))
    assert shares(question, document) == {"facts": 1.0}
    assert shares(question, text(language, 200, seed=4)) == {"facts": 0.0}


@pytest.mark.parametrize("language", [*ALPHABETS, *SPACED])
def test_a_suite_of_short_questions_only_is_not_measured(language: str) -> None:
    question = text(language, 7, seed=1)
    assert shares(question, question) == {}


def test_the_share_is_of_the_items_that_can_be_told() -> None:
    long, other = text("English", 20, seed=1), text("English", 20, seed=2)
    overlap = Overlap({"mixed": ["who?", long, "where?", other], "short": ["who?"]})
    overlap.note(overlap.found(words.split(long)))
    assert overlap.shares() == {"mixed": 0.5}


@pytest.mark.parametrize("language", [*ALPHABETS, *SPACED])
def test_texts_that_hold_no_item_are_told_apart_by_hashes_alone(language: str) -> None:
    short, long = text(language, 9, seed=1), text(language, 20, seed=2)
    space = "" if language in ALPHABETS else " "
    around = [text(language, 50, seed=seed) for seed in range(3, 6)]
    tail = words.split(long)[5:19]
    texts = [around[0], space.join((around[1], short, around[2])), text(language, 3, seed=9), space.join(tail)]
    overlap = Overlap({"facts": [short, long]})
    assert overlap.suspects(word_hashes.of(texts)).tolist() == [1, 3]
    assert [bool(overlap.found(words.split(one))) for one in texts] == [False, True, False, True]


def test_marks_and_case_do_not_split_words_and_scripts_do() -> None:
    assert words.split("Hello, हिन्दी 你好world42 ไทย") == ["hello", "हिन्दी", "你", "好", "world42", "ไ", "ท", "ย"]


def test_a_letter_is_one_letter_however_it_is_composed() -> None:
    assert words.split("Zu\u0308rich") == words.split("Z\u00fcrich") == ["z\u00fcrich"]


@pytest.mark.parametrize("language", [*ALPHABETS, *SPACED])
def test_near_duplicates_are_found_in_any_script(tmp_path: pathlib.Path, language: str) -> None:
    first = text(language, 300, seed=1)
    texts = [first, first + text(language, 3, seed=2), text(language, 300, seed=3)]
    signatures, has = deduplication.signatures(word_hashes.of(texts))
    assert has.all()
    with deduplication.NearDuplicates(tmp_path / "signatures") as near:
        assert near.add(signatures) == 0
        near.remember(0)
        assert (near.like(1), near.like(2)) == (True, False)


@pytest.mark.parametrize("language", ALPHABETS)
def test_a_sentence_of_thirteen_characters_is_a_document(language: str) -> None:
    assert scan.drop_reason(text(language, 13, seed=1)) is None
