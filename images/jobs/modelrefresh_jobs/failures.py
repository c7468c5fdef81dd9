"""How a stage gives up on purpose, and in how many words.

Everything else that escapes a stage is an internal error; `__main__` maps both to an exit
code and a result once. Knows that a status keeps little of a message.
"""

from collections.abc import Iterable

from modelrefresh.contract.exit_codes import ExitCode

LIMIT = 1400
"""Bytes of a message; what the termination message and a status keep of one is a little more."""
_NAMED = 3
"""Faults of one kind that a message spells out: a model has hundreds of tensors."""
_TAIL = 400
_VALUE = 200
_CUT = " [...] "


class StageError(Exception):
    """A stage cannot go on; `reason` is a word of the operator's `api/conditions.py`.

    The message names the object, what was seen, what was expected and what to do.
    """

    def __init__(self, reason: str, message: str, *, exit_code: ExitCode = ExitCode.BAD_INPUT) -> None:
        super().__init__(fitted(message))
        self.reason = reason
        self.exit_code = exit_code


def few(faults: Iterable[str], *, separator: str = "; ") -> str:
    """The first faults and the number of the rest, for a message."""
    listed = list(faults)
    rest = len(listed) - _NAMED
    return separator.join(listed[:_NAMED]) + (f"{separator}and {rest} more" if rest > 0 else "")


def short(value: object) -> str:
    """A user's value as Python writes it, at most 200 characters."""
    text = repr(value)
    return text if len(text) <= _VALUE else f"{text[:_VALUE]}{_CUT.rstrip()}"


def fitted(message: str) -> str:
    """At most `LIMIT` bytes: who and why stand at the beginning, what to do at the end, so the middle goes."""
    data = message.encode(errors="replace")
    if len(data) <= LIMIT:
        return message
    head = LIMIT - _TAIL - len(_CUT)
    return data[:head].decode(errors="ignore") + _CUT + data[-_TAIL:].decode(errors="ignore")
