"""A stage or a rollout brought to a standstill on purpose, and let go on.

A stage stands still where it asks what an earlier attempt has left: a pipe without a writer
lies there. It hears SIGTERM all the while, as in the middle of its work. A rollout stands
still while its version lacks a file. Refuses to know what happens meanwhile.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelrefresh.api import model, names
from modelrefresh.api.spec import RefreshSpec
from modelrefresh.api.status.run import StageState, TriggerKind
from modelrefresh.contract import artifacts
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan import prerequisites
from modelrefresh_jobs.attempt import record
from tests.e2e import attempts, objects, run
from tests.e2e.place import Place

_POLL_SECONDS: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Barrier:
    """What one stage of one run cannot pass."""

    place: Place
    stage: Stage
    owner: str
    run: str

    @property
    def path(self) -> Path:
        """Where the stage looks for the request of an earlier attempt."""
        workspace = artifacts.Workspace(root=self.place.folder)
        return workspace.stage(self.owner, self.run, self.stage) / record.REQUEST

    def await_stage(self) -> None:
        """Wait until the stage stands before it, and the operator knows that it is at work."""
        self.place.wait(self._is_reached, f"a process of {self.stage}", poll=_POLL_SECONDS)
        self.place.wait(lambda: self._state() == StageState.RUNNING, f"{self.stage} to be seen at work")

    def lift(self) -> None:
        """Let the stage do its work, and its next attempts too: there was nothing to find."""
        with self.path.open("w"):
            self.path.unlink()

    def _is_reached(self) -> bool:
        at_work = attempts.processes(self.stage, owner=self.owner)
        return any(attempts.listens(process) for process, wanted in at_work if wanted == self.run)

    def _state(self) -> str:
        if self.stage is Stage.EXTRACT:
            record = self.place.get("instructionresiduals", self.owner)["status"]["extract"]
        else:
            record = run.stage(self.place.status(self.owner), self.stage)
        return str(record["state"])


def extraction(place: Place) -> Barrier:
    """Make the residual, which waits for the profile, and bar its extraction."""
    place.apply(objects.residual(place.namespace))
    uid = place.get("instructionresiduals", objects.RESIDUAL)["metadata"]["uid"]
    wanted = names.run_id(uid=uid, trigger=Stage.EXTRACT, inputs="")
    return _put(Barrier(place=place, stage=Stage.EXTRACT, owner=objects.RESIDUAL, run=wanted))


def before(stage: Stage, place: Place, edits: Mapping[str, object] | None = None) -> Barrier:
    """Make the refresh, whose first run gets no further than to this stage; the residual is there already."""
    place.apply(objects.refresh(place.namespace, {**(edits or {}), "spec.suspend": True}))
    made = place.get("modelrefreshes", objects.REFRESH)
    digest = place.get("instructionresiduals", objects.RESIDUAL)["status"]["digest"]
    inputs = prerequisites.inputs(model.parse(RefreshSpec, made["spec"]), residual=digest)
    wanted = names.run_id(uid=made["metadata"]["uid"], trigger=f"{TriggerKind.FIRST_SIGHT}//", inputs=inputs)
    barrier = _put(Barrier(place=place, stage=stage, owner=objects.REFRESH, run=wanted))
    place.patch({"spec": {"suspend": False}})
    return barrier


@contextmanager
def rollout(place: Place) -> Iterator[str]:
    """Approve the candidate; its rollout stands still for as long as the block lasts. Gives the digest."""
    place.wait(lambda: run.reads(place, "AwaitingApproval"), "a candidate to await approval")
    candidate = place.status()["candidate"]
    needed = artifacts.Workspace(root=place.folder).version(candidate["digest"]) / "config.json"
    lost = needed.rename(needed.with_suffix(".lost"))
    place.approve(candidate["version"])
    place.wait(lambda: place.served() == candidate["digest"], "the Deployment to be pointed at the candidate")
    place.wait(lambda: run.reads(place, "RollingOut", kind="RolledOut"), "the rollout to be told")
    try:
        yield candidate["digest"]
    finally:
        lost.rename(needed)


def _put(barrier: Barrier) -> Barrier:
    """Lay the pipe; the stages have another user id, and their own folders beside it."""
    folder = barrier.path.parent
    folder.mkdir(parents=True, exist_ok=True)
    for item in (folder, *folder.parents[:3]):
        item.chmod(0o777)
    os.mkfifo(barrier.path)
    barrier.path.chmod(0o666)
    return barrier
