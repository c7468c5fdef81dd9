"""How a stage ends, as the exit code of its container.

The operator's retry table (`plan/attempts/retries.py`) is written over these codes and the pod's
conditions; a code never says more than "whose turn it is": the user's (bad input), the
cluster's (preempted, transient) or ours (internal). The reason in `result.py` says why.
"""

import enum
from typing import Final


class ExitCode(enum.IntEnum):
    """Exit code of a stage; the values stay clear of shells (126-165) and of signals."""

    OK = 0
    """The stage's artifact is complete on the workspace."""
    INTERNAL = 1
    """A fault of this software (also Python's own code for an uncaught exception)."""
    BAD_INPUT = 2
    """The user's data, models or settings cannot be used; trying again cannot help."""
    DIVERGED = 10
    """Training produced a loss or weight that is not finite."""
    OUT_OF_MEMORY = 11
    """Host or accelerator memory did not suffice for these settings."""
    PREEMPTED = 12
    """SIGTERM or Ctrl-C arrived; a checkpoint was saved as far as the stage has any."""
    TRANSIENT = 13
    """Something outside failed that may work later: network, hub, full or read-only disk."""
    PEER_LOST = 14
    """Another process of the same training went away; that one knows why."""


_WORST_FIRST: Final = (
    ExitCode.BAD_INPUT,
    ExitCode.OUT_OF_MEMORY,
    ExitCode.DIVERGED,
    ExitCode.TRANSIENT,
    ExitCode.INTERNAL,
    ExitCode.PREEMPTED,
    ExitCode.PEER_LOST,
    ExitCode.OK,
)
"""Of several processes that end together, the first of these is the cause and the others are its victims."""


def severity(code: int) -> int:
    """Place among causes, 0 for the worst; a code that is none of ours counts as a fault of the software."""
    return _WORST_FIRST.index(ExitCode(code) if code in tuple(ExitCode) else ExitCode.INTERNAL)
