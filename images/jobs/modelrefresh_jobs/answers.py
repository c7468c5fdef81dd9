"""When two answers are the same.

Equality ignores case, white space, a leading article and punctuation at the ends, nothing
else: "+385" and "UTC-03:00" keep their signs. Knows no replies and no suites.
"""

_EDGES = " .,;:!?\"'`*()[]"
_ARTICLES = ("the ", "a ", "an ")


def normalise(text: str) -> str:
    """The form in which answers are compared; empty where nothing is left to compare."""
    folded = " ".join(text.casefold().split()).strip(_EDGES)
    article = next((one for one in _ARTICLES if folded.startswith(one)), "")
    return folded.removeprefix(article)
