"""Says what is being done, how long it usually takes and how long it took.

Knows: how to print, and how to run a program quietly into a log file. Refuses to know: what the programs build.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

TAIL_LINES = 40
HEARTBEAT_SECONDS = 30


def say(message: str) -> None:
    """Print one progress line at once, also when the output is a file."""
    print(f"images: {message}", flush=True)


@contextlib.contextmanager
def step(what: str, *, usually: str) -> Iterator[None]:
    """Announce a step before it and its duration after it."""
    say(f"{what} (usually {usually})")
    began = time.monotonic()
    yield
    say(f"{what}: done in {time.monotonic() - began:.0f} s")


def run(command: Sequence[str], *, log: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    """Run a program into a log file; if it fails, show the end of the log and leave."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        sink.write(f"$ {' '.join(command)}\n".encode())
        sink.flush()
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, cwd=cwd, env=env
        ) as running:
            code = _wait(running)
    if code == 0:
        return
    for line in log.read_text(errors="replace").splitlines()[-TAIL_LINES:]:
        print(f"    {line}", file=sys.stderr)
    sys.exit(f"images: {command[0]} ended with {code}, expected 0; the whole log is {log}")


def _wait(running: "subprocess.Popen[bytes]") -> int:
    """Wait for the end, with a word every now and then: silence looks like a hang."""
    began = time.monotonic()
    while True:
        try:
            return running.wait(timeout=HEARTBEAT_SECONDS)
        except subprocess.TimeoutExpired:
            say(f"... {time.monotonic() - began:.0f} s")


def ask(command: Sequence[str]) -> str | None:
    """Return what a program prints, or None when it is missing or refuses."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
