"""How a stage gives up on purpose.

Everything else that escapes a stage is an internal error; `__main__` maps both to an exit
code and a result once.
"""

from collections.abc import Iterable

from modelrefresh.contract.exit_codes import ExitCode

_NAMED = 3
"""Faults of one kind that a message spells out: a status keeps 1500 bytes, a model has hundreds of tensors."""


class StageError(Exception):
    """A stage cannot go on; `reason` is a word of the operator's `api/conditions.py`.

    The message names the object, what was seen, what was expected and what to do.
    """

    def __init__(self, reason: str, message: str, *, exit_code: ExitCode = ExitCode.BAD_INPUT) -> None:
        super().__init__(message)
        self.reason = reason
        self.exit_code = exit_code


def few(faults: Iterable[str]) -> str:
    """The first faults and the number of the rest, for a message."""
    listed = list(faults)
    rest = len(listed) - _NAMED
    return "; ".join(listed[:_NAMED]) + (f"; and {rest} more" if rest > 0 else "")
