"""`python3 -m hack.environment`: the virtual environment that every other command runs in.

Knows: where it lies (one folder per content of the locked requirements, under the user's cache) and how it is made.
Refuses to know: what it is used for. Standard library only, because nothing else is there yet. The file `complete`
is written last; an environment without it is made anew.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelrefresh"
BOOTSTRAP = CHECKOUT / "requirements" / "bootstrap.txt"
LOCK = CHECKOUT / "requirements" / "dev.txt"
OLDEST = (3, 11)


def main() -> None:
    """Bring the environment; with `where`, only say where it lies."""
    folder = _folder()
    if sys.argv[1:] == ["where"]:
        print(folder)
        return
    if sys.version_info < OLDEST:
        sys.exit(f"python3 is {sys.version.split()[0]}; expected 3.11 or newer: install it, or put it first on PATH")
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit("python3 has no ensurepip, so it cannot make environments; on Debian: apt-get install python3-venv")
    if not (folder / "complete").exists():
        _bring(folder)


def _folder() -> Path:
    content = b"".join(file.read_bytes() for file in (BOOTSTRAP, LOCK))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return CACHE / f"venv-{version}-{hashlib.sha256(content).hexdigest()[:12]}"


def _bring(folder: Path) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _make(folder)


def _make(folder: Path) -> None:
    started = time.monotonic()
    print(f"environment: making {folder}; 1 to 4 minutes with a good line", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True, symlinks=True)
    python = str(folder / "bin" / "python")
    hashed = ("install", "--quiet", "--require-hashes", "-r")
    subprocess.run((python, "-m", "pip", *hashed, str(BOOTSTRAP)), check=True)
    command = (python, "-m", "uv", "pip", *hashed, str(LOCK), "--python", python)
    with subprocess.Popen(command) as install:
        while install.poll() is None:
            time.sleep(5)
            print(f"environment: installing, {time.monotonic() - started:.0f} s", flush=True)
    if install.returncode:
        sys.exit(f"environment: uv could not install {LOCK.name} (exit {install.returncode}); its reason stands above")
    (folder / "complete").touch()
    print(f"environment: ready after {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
