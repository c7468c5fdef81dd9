"""Text from outside on its way to people: what a terminal would obey, or nobody would see, is escaped.

Names of files, texts of libraries and of users reach logs, a status and `kubectl describe`; a newline or an
escape sequence in one of them would look like somebody else's words (CWE-117, CWE-150).
"""

import unicodedata
from typing import Final

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories: control, format (bidi, zero width), surrogate, private, unassigned, line and paragraph ends."""


def line(text: str) -> str:
    """The text as one line in which everything can be seen; spaces of any kind become plain ones."""
    return text if text.isascii() and text.isprintable() else "".join(map(_seen, text))


def lines(text: str) -> str:
    """The same of a text whose line ends and tabs are meant, such as a traceback."""
    return "\n".join("\t".join(map(line, one.split("\t"))) for one in text.split("\n"))


def _seen(character: str) -> str:
    kind = unicodedata.category(character)
    if kind == "Zs":
        return " "
    return character.encode("unicode_escape").decode("ascii") if kind in _UNSEEN else character
