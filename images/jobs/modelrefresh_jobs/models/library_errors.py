"""What a library raises over a user's model files is laid to those files, in one place.

transformers and its compiled parts have no common class for it, and a panic in Rust is not even
an `Exception`. Knows no library.
"""

import contextlib
from collections.abc import Iterator

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process import classification, guarded_files
from modelrefresh_jobs.process.errors import StageError

_PANIC = "PanicException"
"""How pyo3 names what a Rust library did not foresee; the class itself can not be imported."""
_SHOWN = 300


@contextlib.contextmanager
def reading(what: str, *, expected: str) -> Iterator[None]:
    """Lay every error that a library raises over a user's model files to those files.

    Raises:
        StageError: ModelUnreadable. Full disks, lost volumes, missing memory and SIGTERM stay what they are.
    """
    try:
        yield
    except BaseException as error:
        known = isinstance(error, StageError | Warning) or classification.classify(error).expected
        if known or not (isinstance(error, Exception) or type(error).__name__ == _PANIC):
            raise
        line = getattr(error, "lineno", None)  # of a template
        # What a library says may quote the file; at a shell that is the person's own.
        words = "" if guarded_files.is_guarded() else f": {error}"
        seen = f"{type(error).__name__}{f', line {line}' if line else ''}{words}"[:_SHOWN]
        raise StageError(StageReason.MODEL_UNREADABLE, f"{what}: {seen}; expected {expected}") from error
