"""Hashes of words stand for the words that `words.split` gives, whatever the script and the neighbours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from modelrefresh_jobs.corpus import difficult_texts, word_hashes, words

TEXTS = some.lists(
    some.text(some.characters(exclude_categories=["Cs"]), max_size=60) | some.sampled_from(difficult_texts.TEXTS),
    max_size=6,
)


def of_each(hashed: word_hashes.Hashed) -> list[list[int]]:
    return [part.tolist() for part in np.split(hashed.values, hashed.offsets[1:-1])][: len(hashed.offsets) - 1]


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_there_is_one_hash_for_each_word_equal_for_equal_words_alone(texts: list[str]) -> None:
    split = [words.split(text) for text in texts]
    hashes = of_each(word_hashes.of(texts))
    assert [len(one) for one in hashes] == [len(one) for one in split]
    pairs = {pair for own, theirs in zip(split, hashes, strict=True) for pair in zip(own, theirs, strict=True)}
    assert len(pairs) == len({word for word, _ in pairs}) == len({value for _, value in pairs})


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_a_texts_hashes_do_not_depend_on_the_texts_beside_it(texts: list[str]) -> None:
    assert of_each(word_hashes.of(texts)) == [of_each(word_hashes.of([text]))[0] for text in texts]


@pytest.mark.parametrize("size", [50, 333])
def test_a_long_text_is_hashed_in_pieces_that_split_no_word(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    texts = [" ".join(f"word{index} \u0434\u043e\u043c \u4e2d\u6587," for index in range(200)), "short", ""]
    whole = of_each(word_hashes.of(texts))
    monkeypatch.setattr(word_hashes, "_PIECE", size)
    assert of_each(word_hashes.of(texts)) == whole


def test_windows_are_the_runs_of_words_within_one_text() -> None:
    hashed = word_hashes.of(["a b c d", "b c d", "a b", ""])
    first, second, third, last = of_each(word_hashes.windows(hashed, 3))
    assert (len(first), len(second), third, last) == (2, 1, [], [])
    assert first[1] == second[0] != first[0]
    assert of_each(word_hashes.windows(word_hashes.of(["a"]), 3)) == [[]]
