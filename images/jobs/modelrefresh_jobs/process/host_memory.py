"""How much of the host's memory the processes of a stage may hold together: the container's limit, or all there is."""

import os
import pathlib

CGROUP = pathlib.Path("/sys/fs/cgroup")
_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
"""Of cgroup v2 and v1; without a limit "max", or more than any machine has."""


def limit(cgroup: pathlib.Path = CGROUP) -> int:
    """Bytes."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for name in _LIMITS:
        try:
            text = (cgroup / name).read_text().strip()
        except OSError:
            continue
        found += [int(text)] if text.isdecimal() else []
    return min(found)
