"""Large folders that nobody needs any more: out of the way at once, deleted beside other work.

Deleting gigabytes can take minutes on a disk that is told of every freed block. What an
interrupted deletion leaves is taken by the next one.
"""

import secrets
import subprocess
from pathlib import Path
from typing import Final

_PREFIX: Final = ".rubbish-"
_DELETE: Final = 'nice rm -rf --one-file-system "$@" </dev/null >/dev/null 2>&1 &'


def discard(path: Path) -> None:
    """Make `path` disappear; what was under it is deleted by a process that nobody waits for."""
    if path.exists():
        path.rename(path.parent / f"{_PREFIX}{secrets.token_hex(8)}")
    if not (left := list(path.parent.glob(f"{_PREFIX}*"))):
        return
    subprocess.run(["/bin/sh", "-c", _DELETE, "delete", *left], check=True, start_new_session=True)
