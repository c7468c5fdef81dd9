"""A train stage in the middle of its work: caught, held still while something happens to it, let go or killed.

Knows where a run's training leaves its position and checkpoints. Refuses to know what follows.
"""

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelrefresh.contract import artifacts
from modelrefresh.contract.vocabulary import Stage
from tests.e2e import attempts, objects
from tests.e2e.place import Place

_POLL_SECONDS: Final = 0.3
_HOLD_SECONDS: Final = 0.02
"""A tiny model trains for seconds only, so its files are looked at often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One attempt, held still by a signal."""

    run: str
    process: int
    pod: str
    uid: str
    checkpoint: int
    """Step of the newest checkpoint."""
    step: int
    """Last step on record."""

    def go_on(self) -> None:
        """Let it work; signals that came meanwhile reach it now."""
        os.kill(self.process, signal.SIGCONT)

    def die(self) -> None:
        """End it as a dying node does, without a signal that it could hear."""
        os.kill(self.process, signal.SIGKILL)


def catch(place: Place, *, after: str | None = None, steps_ahead: bool = False) -> Training:
    """Wait until a run other than `after` trains and has a checkpoint to go on from, and hold it still.

    With `steps_ahead` it has recorded steps beyond the checkpoint, which are lost if it dies.
    """
    found: list[tuple[int, str]] = []

    def begun() -> bool:
        at_work = attempts.processes(Stage.TRAIN, owner=objects.REFRESH)
        found.extend((process, run) for process, run in at_work if run != after and _folder(place, run).exists())
        return bool(found)

    place.wait(begun, "a training process", poll=_POLL_SECONDS)
    process, run = found[0]
    place.wait(lambda: _hold(place, process, run, ahead=steps_ahead), "a checkpoint", poll=_HOLD_SECONDS)
    [pod] = [pod for pod in place.items("pods", stage=Stage.TRAIN, run=run) if pod["status"]["phase"] == "Running"]
    step, checkpoint = _position(place, run)
    return Training(
        run=run,
        process=process,
        pod=pod["metadata"]["name"],
        uid=pod["metadata"]["uid"],
        checkpoint=checkpoint,
        step=step,
    )


def alive(place: Place) -> list[str]:
    """Names of training pods that may still write."""
    pods = place.items("pods", stage=Stage.TRAIN)
    return [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] not in ("Succeeded", "Failed")]


def _hold(place: Place, process: int, run: str, *, ahead: bool) -> bool:
    """Hold a process still if it has come far enough, which it still has then; one that has ended is an error."""
    os.kill(process, signal.SIGSTOP)
    if _far_enough(place, run, ahead=ahead):
        return True
    os.kill(process, signal.SIGCONT)
    return False


def _far_enough(place: Place, run: str, *, ahead: bool) -> bool:
    step, checkpoint = _position(place, run)
    return checkpoint > 0 and (step > checkpoint or not ahead)


def _position(place: Place, run: str) -> tuple[int, int]:
    """Last step on record, and that of the newest whole checkpoint."""
    folder = _folder(place, run)
    whole = (path.parent.name for path in folder.glob(f"checkpoints/checkpoint-*/{artifacts.MANIFEST}"))
    newest = max((int(name.rpartition("-")[2]) for name in whole), default=0)
    return int(json.loads(attempts.text(folder / "progress.json") or "{}").get("done", 0)), newest


def _folder(place: Place, run: str) -> Path:
    return artifacts.Workspace(root=place.folder).stage(objects.REFRESH, run, Stage.TRAIN)
