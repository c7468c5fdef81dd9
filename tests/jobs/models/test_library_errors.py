"""What a library raises over a user's files is the user's, and nothing else is."""

import errno

import pytest

from modelrefresh_jobs.models import library_errors
from modelrefresh_jobs.process import classification, signals
from modelrefresh_jobs.process.errors import StageError


class PanicException(BaseException):
    """What a panic in Rust arrives as."""


def raised(error: BaseException) -> BaseException | None:
    try:
        with library_errors.reading("x.json", expected="sense"):
            raise error  # noqa: TRY301 -- as a library does
    except BaseException as told:  # noqa: BLE001 -- which one it is is the question
        return told


@pytest.mark.parametrize("error", [KeyError("rope"), TypeError("no"), RecursionError(), PanicException("index")])
def test_what_a_library_did_not_foresee_is_laid_to_the_file(error: BaseException) -> None:
    told = raised(error)
    assert isinstance(told, StageError)
    assert str(told).startswith(f"x.json: {type(error).__name__}")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "OutOfMemory"),
        (OSError(errno.ENOSPC, "full"), "InsufficientStorage"),
        (OSError(errno.EIO, "lost"), "SourceUnavailable"),
        (signals.Preempted("SIGTERM"), "Preempted"),
    ],
)
def test_what_befell_the_machine_stays_what_it_is(error: BaseException, reason: str) -> None:
    assert raised(error) is error
    assert classification.classify(error).reason == reason
