"""How a stage gives up on purpose, and in how many words.

Everything else that escapes a stage is an internal error; the boundary of an attempt
maps both to an exit code and a result once. Knows that a status keeps little of a message.
"""

import re
from collections.abc import Iterable

from modelrefresh.contract import printable
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason

NO_ROOM = "the workspace is full or read-only: free space, enlarge the claim or lower spec.retain.versions"
LIMIT = 1400
"""Bytes of a message; what the termination message and a status keep of one is a little more."""
_NAMED = 3
"""Faults of one kind that a message spells out: a model has hundreds of tensors."""
_TAIL = 400
_PLAIN = re.compile(r"[A-Za-z0-9_.+-]{1,32}")
"""A word of a format. Longer ones might be a secret, others a sentence of somebody's."""
_LISTED = 8
_LONG = 10**20
_NAMES = {dict: "an object", list: "a list", tuple: "a list", int: "a whole number of many digits"}
_CUT = " [...] "


class StageError(Exception):
    """A stage cannot go on; `reason` is a word of the operator's `api/conditions.py`.

    The message names the object, what was seen, what was expected and what to do.
    """

    def __init__(self, reason: StageReason, message: str, *, exit_code: ExitCode = ExitCode.BAD_INPUT) -> None:
        super().__init__(fitted(message))
        self.reason = reason
        self.exit_code = exit_code


def few(faults: Iterable[str], *, separator: str = "; ") -> str:
    """The first faults and the number of the rest, for a message."""
    listed = list(faults)
    rest = len(listed) - _NAMED
    return separator.join(listed[:_NAMED]) + (f"{separator}and {rest} more" if rest > 0 else "")


def shown(value: object) -> str:
    """What may be said of a value that stands in a user's file: numbers, switches and short words as they are.

    Of anything else its kind and size, since a message is read by others than the file (CWE-209).
    """
    if _is_plain(value):
        return repr(value)
    if isinstance(value, str):
        return f"a text of {len(value)} characters"
    size = f" of {len(value)}" if isinstance(value, list | tuple | dict) else ""
    return f"{_NAMES.get(type(value), type(value).__name__)}{size}"


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return _PLAIN.fullmatch(value) is not None
    if isinstance(value, list | tuple | dict):
        items = [*value, *value.values()] if isinstance(value, dict) else value
        return len(value) <= _LISTED and all(map(_is_plain, items))
    return value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < _LONG)


def fitted(message: str) -> str:
    """One line of at most `LIMIT` bytes; who and why stand at the beginning, what to do at the end: the middle goes."""
    message = printable.line(message)
    data = message.encode()
    if len(data) <= LIMIT:
        return message
    head = LIMIT - _TAIL - len(_CUT)
    return data[:head].decode(errors="ignore") + _CUT + data[-_TAIL:].decode(errors="ignore")
