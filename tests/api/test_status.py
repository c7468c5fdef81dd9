"""What status records promise: bounded, cut instead of refused, the same after writing and reading."""

import datetime

import pytest

from modelrefresh.api import records, status
from modelrefresh.api.conditions import ConditionType
from modelrefresh.api.records import (
    Condition,
    EvaluateFacts,
    Failure,
    MergeFacts,
    Outcome,
    PrepareFacts,
    Run,
    ScoreFacts,
    StageRecord,
    StageState,
    TrainFacts,
    Trigger,
    TriggerKind,
    VerdictFacts,
)
from modelrefresh.api.status import Cost, HistoryEntry, RefreshStatus, StageCost, VersionRef
from modelrefresh.contract.env import Stage
from tests import builders

_NOW = datetime.datetime(2026, 11, 22, 12, 30, 15, 999_999, tzinfo=datetime.UTC)
_LONG = "x" * 10_000
_DIGEST = f"sha256:{builders.DIGEST}"
_NAME = "v" * 63


def _stage(stage: Stage) -> StageRecord:
    scores = ScoreFacts(
        suite=_NAME, metric="exact_match", items=100_000, candidate=-0.1, incumbent=-0.1, difference=-0.5, error=0.1
    )  # fmt: skip
    verdict = VerdictFacts(
        suite=_NAME, metric="exact_match", versus="Incumbent", needed=-0.1, seen=-0.1, low=-0.1, high=-0.1,
        verdict="Inconclusive", message=_LONG,
    )  # fmt: skip
    merge = MergeFacts(digest=_DIGEST, drift=0.1, residual_norm=0.1, alignment=-0.1)
    return StageRecord(
        name=stage,
        state=StageState.SUCCEEDED,
        attempt=10,
        disruptions=50,
        start_time=_NOW,
        end_time=_NOW,
        reason="EvaluationUnreadable",
        message=_LONG,
        progress="100%",
        digest=_DIGEST,
        prepare=PrepareFacts(fingerprint=_DIGEST, newest="2026-11-22T00:00:00Z") if stage is Stage.PREPARE else None,
        train=TrainFacts(steps=10**6, tokens=10**11, seconds=1e6, last_loss=1.5) if stage is Stage.TRAIN else None,
        merge=merge if stage is Stage.MERGE else None,
        evaluate=EvaluateFacts(scores=(scores,) * 16, verdicts=(verdict,) * 12) if stage is Stage.EVALUATE else None,
    )


def _fullest() -> RefreshStatus:
    entry = HistoryEntry(
        run="0a1b2c3d4e", outcome=Outcome.ROLLED_BACK, version=_NAME, trigger=TriggerKind.ANNOTATION, start_time=_NOW,
        end_time=_NOW, reason="ProgressDeadlineExceeded", message=_LONG,
    )  # fmt: skip
    conditions = tuple(
        Condition(
            type=kind, status="Unknown", reason="ProgressDeadlineExceeded", message=_LONG, last_transition_time=_NOW
        )
        for kind in ConditionType
    )
    stages = tuple(_stage(stage) for stage in Stage if stage is not Stage.EXTRACT)
    version = VersionRef(version=_NAME, digest=_DIGEST, since=_NOW)
    return RefreshStatus(
        observed_generation=10**6,
        phase="AwaitingApproval",
        conditions=conditions,
        run=Run(
            id="0a1b2c3d4e", trigger=Trigger(kind=TriggerKind.ANNOTATION, detail=_LONG), start_time=_NOW, end_time=_NOW,
            inputs=_DIGEST, outcome=Outcome.ROLLED_BACK, stage=Stage.EVALUATE, progress="100%", stages=stages,
        ),
        live=version,
        previous=version,
        candidate=version,
        stock=version,
        held=(_DIGEST,) * 10,
        data_fingerprint=_DIGEST,
        freshness="2026-11-22T00:00:00Z",
        last_handled_refresh=_LONG,
        last_schedule_time=_NOW,
        next_schedule_time=_NOW,
        history=(entry,) * 10,
        cost=Cost(stages=tuple(StageCost(stage=stage, gpu_seconds=10**9) for stage in Stage), tokens=10**12),
        last_failure=Failure(
            run="0a1b2c3d4e", stage=Stage.TRAIN, attempt=9, reason="OOM", exit_code=137, message=_LONG, time=_NOW
        ),
    )  # fmt: skip


def _needed(full: RefreshStatus) -> object:
    assert full.run is not None
    facts = [(stage.digest, stage.prepare, stage.train, stage.merge) for stage in full.run.stages]
    scores = [stage.evaluate.scores for stage in full.run.stages if stage.evaluate]
    conditions = [(item.type, item.status, item.last_transition_time) for item in full.conditions]
    return facts, scores, conditions, full.live, full.previous, full.held


def test_the_fullest_status_is_brought_below_its_limit() -> None:
    fullest = _fullest()
    assert status.size(fullest) > status.SIZE_LIMIT
    assert status.size(status.fit(fullest)) <= status.SIZE_LIMIT


def test_fitting_keeps_what_later_passes_need() -> None:
    full, fitted = _fullest(), status.fit(_fullest())
    assert _needed(fitted) == _needed(full)


def test_fitting_leaves_an_ordinary_status_alone() -> None:
    ordinary = RefreshStatus(held=(_DIGEST,), history=_fullest().history[:3])
    assert status.fit(ordinary) is ordinary


def test_a_status_reads_back_as_it_was_written() -> None:
    full = status.fit(_fullest())
    assert status.read(RefreshStatus, status.render(full)) == full


def test_an_absent_status_reads_as_an_empty_one() -> None:
    assert status.read(RefreshStatus, None) == RefreshStatus()


def test_fields_of_a_newer_operator_are_passed_over() -> None:
    assert status.read(RefreshStatus, {"observedGeneration": 3, "mood": "good"}).observed_generation == 3


def test_times_are_written_as_kubernetes_writes_them() -> None:
    assert status.render(VersionRef(version="v", digest="d", since=_NOW))["since"] == "2026-11-22T12:30:15Z"


def test_measures_are_written_with_four_decimals() -> None:
    assert MergeFacts(digest="d", drift=0.123456).drift == "0.1235"


@pytest.mark.parametrize(("kind", "kept"), [(records.Condition, "begin"), (Failure, "end")])
def test_long_messages_are_cut_where_they_say_least(kind: type[records.Record], kept: str) -> None:
    text = "begin" + _LONG + "end"
    if kind is Failure:
        message = Failure(run="r", stage=Stage.TRAIN, attempt=1, reason="R", message=text, time=_NOW).message
    else:
        message = Condition(type="Ready", status="True", reason="R", message=text, last_transition_time=_NOW).message
    assert kept in message
    assert "…" in message
