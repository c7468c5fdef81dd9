"""Where built things are kept between runs: a folder of the user's cache, outside the checkout.

Knows: the folders, content digests, the lock that lets one build run at a time and the record of pushed images.
Refuses to know: how anything is built. A killed build leaves only what the next one sweeps away or reuses.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
HOME = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelrefresh"
IMAGES = HOME / "images"
SCRATCH = IMAGES / "scratch"
LOGS = IMAGES / "logs"
STORAGE = IMAGES / "storage"
RECORD = HOME / "images.json"
_READ_ERRORS = (FileNotFoundError, json.JSONDecodeError)


@contextlib.contextmanager
def exclusive() -> Iterator[None]:
    """Hold the one build lock of this user; it goes away with the process, however that ends."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (IMAGES / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fresh_scratch(name: str) -> Path:
    """Return an empty folder; what a killed run left in it is gone."""
    folder = SCRATCH / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def digest_of_text(*parts: str) -> str:
    """Return a short digest of some strings in order."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def digest_of_tree(root: Path) -> str:
    """Return a short digest of a folder: relative names and contents, no times."""
    whole = hashlib.sha256()
    for path in sorted(file for file in root.rglob("*") if file.is_file()):
        whole.update(f"{path.relative_to(root)}\0".encode())
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:16]


def record(image: str, *, reference: str) -> None:
    """Note the pushed reference of one image for others to read; what is noted of the other image stays."""
    try:
        noted = json.loads(RECORD.read_text())
    except _READ_ERRORS:
        noted = {}
    draft = RECORD.with_suffix(".tmp")
    draft.write_text(json.dumps(noted | {image: reference}, indent=2, sort_keys=True) + "\n")
    draft.replace(RECORD)
