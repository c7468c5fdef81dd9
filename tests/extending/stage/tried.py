"""Run in a tree that has the toy stage: a worker does it, and a run goes through it to its promotion."""

import os
import pathlib
import sys

from modelrefresh.contract.stages.toy import ToyInput, ToySummary  # type: ignore[import-not-found]

from modelrefresh.api.status.run import Outcome, StageState
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.attempt import in_pod
from tests.reconcile import world

TOY = Stage("toy")


def worker(root: pathlib.Path) -> None:
    """One attempt as a pod makes it."""
    os.environ["MODELREFRESH_TERMINATION_LOG"] = str(root / "termination")
    request = StageRequest(stage=TOY, owner="news", run="r1", workspace=str(root), section=ToyInput(most=7))
    assert in_pod.attempt(request).summary == ToySummary(counted=7)


def run() -> None:
    """The whole loop in a small world."""
    place = world.World()
    place.answers[TOY] = lambda request: world.answer(request, ToySummary(counted=request.section.most))
    ended = place.settle().run
    assert ended is not None
    assert ended.outcome is Outcome.PROMOTED
    assert [stage.name for stage in ended.stages][1:4] == [Stage.PREPARE, TOY, Stage.TRAIN]
    assert {stage.state for stage in ended.stages} == {StageState.SUCCEEDED}


worker(pathlib.Path(sys.argv[1]))
run()
