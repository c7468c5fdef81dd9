"""The processes of stages at work: the node's processes are processes of this machine.

Knows that a stage's process carries what the operator asked of it in its environment, and
how the kernel tells whether it hears a signal. Refuses to know what any stage does.
"""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from modelrefresh.contract import codec, stage_request
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh.contract.vocabulary import Stage

_INPUT: Final = f"{stage_request.INPUT_VARIABLE}="
_CAUGHT: Final = "SigCgt:"


def processes(stage: Stage, *, owner: str) -> Iterator[tuple[int, str]]:
    """(process, run) of every attempt of this stage on this machine that works for this owner."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        asked = _asked(path)
        # What makes the stage's folders first is asked the same, and over in a moment.
        is_room = "modelrefresh_jobs.attempt.make_folders" in text(path.parent / "cmdline")
        if asked is not None and asked.stage is stage and asked.owner == owner and not is_room:
            yield int(path.parent.name), asked.run


def listens(process: int) -> bool:
    """Whether it would hear SIGTERM: as the first process of its container it is deaf before it asks for it."""
    lines = text(Path(f"/proc/{process}/status")).splitlines()
    masks = [int(line.removeprefix(_CAUGHT), 16) for line in lines if line.startswith(_CAUGHT)]
    return any(mask >> (signal.SIGTERM - 1) & 1 for mask in masks)


def text(path: Path) -> str:
    """What a file says; nothing if it, or the process behind it, is gone."""
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""


def _asked(path: Path) -> StageRequest | None:
    variables = text(path).split("\0")
    try:
        return next(
            (stage_request.parse(item.removeprefix(_INPUT)) for item in variables if item.startswith(_INPUT)), None
        )
    except codec.CodecError:
        return None
