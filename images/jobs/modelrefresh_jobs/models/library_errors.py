"""Translation of what a library raises over a user's model files into an error that names those files.

transformers and its compiled parts have no common class for it, and a panic in Rust is not even
an `Exception`. Knows no library.
"""

import contextlib
from collections.abc import Iterator

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.process import classification, guarded_files
from modelrefresh_jobs.process.errors import StageError

_PANIC = "PanicException"
"""Name of pyo3's exception for a panic in Rust; the class itself cannot be imported."""
_SHOWN = 300


@contextlib.contextmanager
def reading(what: str, *, expected: str) -> Iterator[None]:
    """Turn the errors that a library raises in the block into one about the user's model files, `what`.

    Full disks, lost volumes, missing memory and SIGTERM stay what they are.

    Raises:
        StageError: ModelUnreadable, when the library raises.
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
