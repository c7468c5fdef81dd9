"""Makes the folders that a stage may write in, before the stage itself sees the workspace: `... ROOT FOLDER...`.

Runs as the init container of every stage, with the whole workspace writable and no content of anybody's in hand; the
stage then has all of it read-only but these folders. A link in the place of a folder is refused: it would lead the
stage's writes elsewhere. Standard library and contract only, for it must start at once.
"""

import contextlib
import os
import pathlib
import sys

from modelrefresh.contract import codec, result, stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.attempt import record
from modelrefresh_jobs.process import classification
from modelrefresh_jobs.process.errors import StageError


def main(words: list[str]) -> int:
    """Make the folders; the return value is the process's exit code."""
    root, *folders = words
    nonce = os.environ.get(stage_request.NONCE_VARIABLE)
    try:
        request = stage_request.parse(os.environ[stage_request.INPUT_VARIABLE])
    except codec.CodecError:
        return ExitCode.OK  # the stage will say so in its own words
    try:
        for folder in folders:
            make(pathlib.Path(root), folder)
    except (OSError, StageError) as error:
        failure = classification.classify(error)
        classification.log(failure, error)
        ended = result.Result(
            stage=request.stage, run=request.run, attempt=request.attempt, exit_code=failure.exit_code,
            reason=failure.reason, message=failure.message,
        )  # fmt: skip
        record.announce(ended, nonce=nonce)
        return failure.exit_code
    return ExitCode.OK


def make(root: pathlib.Path, folder: str) -> None:
    """Make one folder below the root, with those on the way to it.

    Raises:
        StageError: InputInvalid, when something on the way is no folder of its own.
        OSError: the file system's.
    """
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in pathlib.PurePosixPath(folder).parts:
            below = _entered(here, part, f"{root}/{folder}")
            os.close(here)
            here = below
    finally:
        os.close(here)


def _entered(here: int, part: str, folder: str) -> int:
    if part in ("..", "/"):
        raise StageError(StageReason.INPUT_INVALID, f"{folder}: expected a path below the workspace")
    with contextlib.suppress(FileExistsError):
        os.mkdir(part, dir_fd=here)
    try:
        return os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
    except NotADirectoryError as error:  # what Linux says of a link, too, asked for a directory
        message = f"{folder}: {part} is a link or a file; expected a folder: remove it, and look who writes here"
        raise StageError(StageReason.INPUT_INVALID, message) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
