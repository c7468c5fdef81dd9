"""What the operator and the contract read of what others wrote: results, requests, statuses."""

import dataclasses
import datetime
import json
import pathlib
from typing import Any

import pydantic

from modelrefresh.api import names
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.api.status.run import StageRecord, StageState
from modelrefresh.api.status.version import VersionStatus
from modelrefresh.cluster import stage_jobs
from modelrefresh.contract import result, stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.stages.evaluate import EvaluateSummary, Score
from modelrefresh.contract.stages.extract import ExtractSummary
from modelrefresh.contract.stages.merge import MergeSummary
from modelrefresh.contract.stages.prepare import PrepareSummary
from modelrefresh.contract.stages.train import TrainInput, TrainSummary
from modelrefresh.contract.vocabulary import Method, Stage
from modelrefresh.plan import extraction
from modelrefresh.plan.attempts import retries, stage_results
from tests.examples import statuses as examples
from tests.fuzz.targets import Target
from tests.plan import sights

_NOW = datetime.datetime(2026, 11, 26, tzinfo=datetime.UTC)
_TIME = "2026-11-26T00:00:00Z"


def targets(root: pathlib.Path) -> list[Target]:
    """Readers of text that a Job, a request or somebody's kubectl left."""
    root.mkdir()
    for stage, summary in _summaries().items():
        answer = result.Result(
            stage=stage, run="r1", attempt=1, exit_code=ExitCode.OK, warnings=("look",), summary=summary
        )
        (root / f"{stage}.json").write_text(result.render(answer))
    asked = TrainInput(start="file:///base", method=Method.LORA, learning_rate=1e-4, sequence_length=32)
    request = stage_request.StageRequest(
        stage=Stage.TRAIN, owner="chat", run="r1", workspace="/w", sources="/s", section=asked
    )
    (root / "request.json").write_text(stage_request.render(request))
    done = [examples.stage(Stage.PREPARE, StageState.SUCCEEDED), examples.stage(Stage.TRAIN, StageState.RUNNING)]
    (root / "refresh.json").write_text(json.dumps(examples.document(*done)))
    (root / "version.json").write_text(json.dumps({"served": {"deployment": "chat", "time": _TIME}}))
    text = {"folder": root, "weight": 2}
    ends = tuple(f"{stage}.json" for stage in _summaries())
    return [
        Target(name="result.json", files=ends, use=lambda name: result.parse(_text(root / name)), places=("",), **text),
        Target(
            name="request of a stage",
            files=("request.json",),
            use=lambda name: stage_request.parse(_text(root / name)),
            places=("",),
            **text,
        ),
        Target(name="termination message", files=ends, use=lambda name: _folded(root / name), total=True, **text),
        Target(
            name="status",
            files=("refresh.json", "version.json"),
            use=lambda name: _status(root / name),
            total=True,
            **text,
        ),
    ]


def _text(path: pathlib.Path) -> str:
    """As the API carries it: whatever bytes, it is Unicode."""
    return path.read_bytes().decode(errors="replace")


def _folded(path: pathlib.Path) -> None:
    """All that the operator does with the end of a pod, once for a success and once for each failure."""
    stage = Stage(path.stem)
    labels = {names.LABEL_RUN: "r1", names.LABEL_STAGE: stage.value, names.LABEL_ATTEMPT: "1"}
    for code in (0, 1, 10):
        end = {"exitCode": code, "message": _text(path), "startedAt": _TIME, "finishedAt": _TIME}
        pod: dict[str, Any] = {
            "metadata": {"name": "t-0", "labels": labels, "ownerReferences": [{"uid": "j"}]},
            "status": {"containerStatuses": [{"name": "stage", "state": {"terminated": end}}]},
        }
        condition = {"type": "Failed" if code else "Complete", "status": "True", "lastTransitionTime": _TIME}
        job: dict[str, Any] = {
            "metadata": {"name": "t", "uid": "j", "labels": labels, "annotations": {}},
            "spec": {"completions": 1},
            "status": {"conditions": [condition]},
        }
        (seen,) = stage_jobs.read([job], [pod])
        context = sights.a_context(now=_NOW)
        if stage is Stage.EXTRACT:
            context = dataclasses.replace(context, found=extraction.found)
        before = StageRecord(name=stage, attempt=1, state=StageState.RUNNING)
        after = stage_results.observe_job(before, seen, context)
        retries.due(after, failure=stage_results.failure(before, after, seen, context), profile="p")
        json.dumps(after.model_dump(mode="json", by_alias=True), ensure_ascii=False, allow_nan=False).encode()


def _status(path: pathlib.Path) -> None:
    """As a pass reads it; the API server has parsed it before, so it is an object."""
    try:
        document = json.loads(_text(path))
    except (ValueError, RecursionError):
        return
    if isinstance(document, dict):
        try:
            read = (RefreshStatus if path.stem == "refresh" else VersionStatus).read(document)
        except pydantic.ValidationError:
            return
        read.render()


def _summaries() -> dict[Stage, object]:
    digest = "d" * 64
    score = Score(
        suite="facts",
        metric="exact_match",
        items=6,
        candidate=0.5,
        incumbent=0.25,
        difference=0.25,
        error=0.1,
        gains=2,
        losses=1,
    )
    train = TrainSummary(
        steps=5,
        tokens=99,
        first_loss=2.0,
        last_loss=1.0,
        seconds=1.5,
        tokens_per_second=66.0,
        start_fingerprint=digest,
        passes=1.0,
    )
    prepare = PrepareSummary(
        fingerprint=digest, unchanged=False, documents=9, kept=8, dropped={"empty": 1}, tokens=99, replay_tokens=0,
        blocks=3, newest="2026-01-01", overlap={"facts": 0.5}, cut=0,
    )  # fmt: skip
    merge = MergeSummary(digest=digest, parameters=9, bytes=36, drift=0.1, residual_norm=0.2, alignment=0.0)
    extract = ExtractSummary(
        digest=digest, base_fingerprint=digest, instruct_fingerprint=digest, architecture="LlamaForCausalLM",
        parameters=9, bytes=36, relative_norm=0.2,
    )  # fmt: skip
    evaluate = EvaluateSummary(candidate=digest, incumbent=digest, scores=(score,))
    return {
        Stage.TRAIN: train,
        Stage.PREPARE: prepare,
        Stage.MERGE: merge,
        Stage.EXTRACT: extract,
        Stage.EVALUATE: evaluate,
    }
