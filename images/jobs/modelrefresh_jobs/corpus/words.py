"""Splitting of texts into words for comparison: runs of letters, digits and marks, in lower case.

A letter counts as the same however it is composed in Unicode. Scripts that are written without spaces (Chinese,
Japanese, Thai, Lao, Khmer, Burmese and related) have no such runs; there each character stands for a word.
Knows no language and no stem.
"""

import unicodedata

import regex  # type: ignore[import-untyped]

UNSPACED = "".join(
    rf"\p{{Script={script}}}"
    for script in (
        *("Han", "Hiragana", "Katakana", "Bopomofo", "Yi", "Nushu", "Tangut"),
        *("Thai", "Lao", "Khmer", "Myanmar", "Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet", "Balinese", "Javanese"),
    )
)
"""Letters of scripts without spaces, for a class of characters."""
_WORD = regex.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")


def split(text: str) -> list[str]:
    """The words of a text in order."""
    found: list[str] = _WORD.findall(folded(text))
    return found


def folded(text: str) -> str:
    """The text in lower case, each letter composed."""
    low = text.lower()
    return low if low.isascii() else unicodedata.normalize("NFC", low)
