"""Normal form of answers, in which equal ones are equal strings.

It ignores case, white space, a leading article, punctuation at the ends and how letters
are composed in Unicode, nothing else: "+385" and "UTC-03:00" keep their signs, "Zürich" its
diaeresis. Knows no replies and no suites.
"""

import unicodedata

_EDGES = " .,;:!?\"'`*()[]"
_ARTICLES = ("the ", "a ", "an ")


def composed(text: str) -> str:
    """The text in Unicode's composed form (NFC), in which each letter has one spelling."""
    return unicodedata.normalize("NFC", text)


def normalise(text: str) -> str:
    """The form in which answers are compared; empty where nothing is left to compare."""
    folded = " ".join(composed(text.casefold()).split()).strip(_EDGES)
    article = next((one for one in _ARTICLES if folded.startswith(one)), "")
    return folded.removeprefix(article)
