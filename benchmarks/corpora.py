"""Text of any size with the words of real English, and a tokenizer of 32,768 tokens that is made from it.

Sentences come from the docstrings of the standard library and of the installed packages; documents of very unequal
lengths are drawn from them by seed. 3 % are copies, 3 % copies with a word in a hundred changed, and one sentence in
ten is followed by one with a name and numbers that are nowhere else.
"""

import json
import pathlib
import re
import sysconfig
from collections.abc import Iterator

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY = 32_768
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
"""Llama 3's."""
_COPIES, _PER_FILE, _KEPT = 0.03, 5_000, 2_000
_LENGTHS = (60, 600)
_LETTERS = 0.9
"""Share of letters and spaces from which a paragraph is prose."""


def paragraphs() -> list[str]:
    """Distinct paragraphs of prose, some 24 MB, sorted."""
    found = set()
    for root in ("stdlib", "purelib"):
        for path in pathlib.Path(sysconfig.get_path(root)).rglob("*.py"):
            for docstring in re.findall(r'"""(.*?)"""', path.read_text(errors="replace"), re.DOTALL):
                found.update(" ".join(part.split()) for part in re.split(r"\n\s*\n", docstring))
    return sorted(one for one in found if _is_prose(one))


def tokenizer(texts: list[str]) -> Tokenizer:
    """Byte-level BPE; token 0 begins a text, 1 ends it."""
    made = Tokenizer(models.BPE(ignore_merges=True))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|begin|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    return made


def write(folder: pathlib.Path, texts: list[str], *, characters: int) -> int:
    """Write dated documents of so many characters together as JSON lines; returns their number."""
    folder.mkdir()
    sentences = [one for text in texts for one in re.split(r"(?<=[.!?]) ", text) if len(one) < _LENGTHS[1]]
    count, draw = 0, np.random.default_rng(0)
    documents = _documents(sentences, draw)
    while characters > 0:
        with (folder / f"{count // _PER_FILE:05}.jsonl").open("w") as file:
            for _ in range(_PER_FILE):
                text = next(documents)
                date = f"2026-{draw.integers(1, 11):02}-{draw.integers(1, 29):02}"
                file.write(json.dumps({"text": text, "date": date}) + "\n")
                characters -= len(text)
                count += 1
                if characters <= 0:
                    break
    return count


def _is_prose(text: str) -> bool:
    return len(text) > _LENGTHS[0] and sum(one.isalpha() or one == " " for one in text) > _LETTERS * len(text)


def _documents(sentences: list[str], draw: np.random.Generator) -> Iterator[str]:
    earlier: list[str] = []
    while True:
        kind = draw.random()
        if earlier and kind < 2 * _COPIES:
            words = earlier[draw.integers(len(earlier))].split(" ")
            changed = max(1, len(words) // 100) if kind < _COPIES else 0
            for place in draw.integers(len(words), size=changed):
                words[place] = f"changed{draw.integers(1_000_000)}"
            yield " ".join(words)
            continue
        text = " ".join(_sentences(sentences, draw))
        if len(earlier) < _KEPT:
            earlier.append(text)
        else:
            earlier[draw.integers(_KEPT)] = text
        yield text


def _sentences(sentences: list[str], draw: np.random.Generator) -> Iterator[str]:
    for index in draw.integers(len(sentences), size=1 + int(draw.lognormal(3.0, 0.8))):
        yield sentences[index]
        if draw.random() < 0.1:
            name = "".join(map(chr, draw.integers(97, 123, size=7))).title()
            yield f"In {draw.integers(1900, 2026)}, {name} wrote that {100 * draw.random():.2f} percent remained.\n\n"
