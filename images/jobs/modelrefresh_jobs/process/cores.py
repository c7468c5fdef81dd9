"""How many threads or processes a stage may keep busy: what its container was given, or what the machine has."""

import os

_GIVEN = "OMP_NUM_THREADS"
"""Set by the operator from the container's limit, or by a person."""


def allowed() -> int:
    """Threads or processes, at least one."""
    given = os.environ.get(_GIVEN, "")
    return max(1, int(given) if given.isdecimal() else len(os.sched_getaffinity(0)))
