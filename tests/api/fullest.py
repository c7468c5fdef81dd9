"""The fullest status that a ModelRefresh can have: every list full, every text at its bound."""

import datetime

from modelrefresh.api.conditions import ConditionType
from modelrefresh.api.status.refresh import Cost, HistoryEntry, RefreshStatus, Rollout, StageCost, Sweep, VersionRef
from modelrefresh.api.status.run import Condition, Failure, Outcome, Run, StageRecord, StageState, Trigger, TriggerKind
from modelrefresh.api.status.stage_facts import (
    EvaluateFacts,
    MergeFacts,
    OverlapFacts,
    PrepareFacts,
    ScaleFacts,
    ScoreFacts,
    SearchFacts,
    TrainFacts,
    VerdictFacts,
)
from modelrefresh.contract.vocabulary import Stage
from tests import builders

NOW = datetime.datetime(2026, 11, 22, 12, 30, 15, 999_999, tzinfo=datetime.UTC)
LONG = "x" * 10_000
DIGEST = f"sha256:{builders.DIGEST}"
_NAME = "v" * 63
_RUN = (Stage.IMPORT, Stage.PREPARE, Stage.TRAIN, Stage.SEARCH, Stage.MERGE, Stage.EVALUATE)


def _stage(stage: Stage) -> StageRecord:
    scores = ScoreFacts(
        suite=_NAME, metric="exact_match", items=100_000, candidate=-0.1, incumbent=-0.1, difference=-0.5, error=0.1,
        gains=100_000, losses=100_000,
    )  # fmt: skip
    verdict = VerdictFacts(
        suite=_NAME, metric="exact_match", versus="Incumbent", needed=-0.1, seen=-0.1, low=-0.1, high=-0.1,
        verdict="Inconclusive", message=LONG,
    )  # fmt: skip
    evaluate = EvaluateFacts(incumbent=DIGEST, scores=(scores,) * 16, verdicts=(verdict,) * 12)
    prepare = PrepareFacts(
        fingerprint=DIGEST, documents=10**9, kept=10**9, cut=1, tokens=10**11, blocks=10**8,
        newest="2026-11-22T00:00:00Z", unusable_dates=10**9, ignored_files=10**6, ignored_examples=LONG,
        overlap=(OverlapFacts(suite=_NAME, share=0.1),) * 4,
    )  # fmt: skip
    train = TrainFacts(
        steps=10**6, tokens=10**11, passes=99.5, seconds=1e6, last_loss=1.5, resumed_step=10**6, lost_steps=10**6,
        skipped_steps=10**6,
    )  # fmt: skip
    merge = MergeFacts(digest=DIGEST, drift=0.1, residual_norm=0.1, alignment=-0.1)
    search = SearchFacts(scale=0.8, scores=(ScaleFacts(scale=0.8, score=0.5, items=10**6),) * 8)
    return StageRecord(
        name=stage,
        state=StageState.SUCCEEDED,
        attempt=10,
        failures=10,
        disruptions=50,
        outages=50,
        gpus=1024,
        gpu_seconds=10**9,
        start_time=NOW,
        end_time=NOW,
        reason="EvaluationUnreadable",
        message=LONG,
        progress="100%",
        digest=DIGEST,
        incumbent=DIGEST if stage in (Stage.SEARCH, Stage.MERGE, Stage.EVALUATE) else None,
        transferred=True if stage is Stage.IMPORT else None,
        warnings=(LONG,) * 4,
        prepare=prepare if stage is Stage.PREPARE else None,
        train=train if stage is Stage.TRAIN else None,
        search=search if stage is Stage.SEARCH else None,
        merge=merge if stage is Stage.MERGE else None,
        evaluate=evaluate if stage is Stage.EVALUATE else None,
    )


def refresh_status() -> RefreshStatus:
    """A status beyond the limit, before it is fitted."""
    entry = HistoryEntry(
        run="0a1b2c3d4e", outcome=Outcome.ROLLED_BACK, version=_NAME, trigger=TriggerKind.ANNOTATION, start_time=NOW,
        end_time=NOW, reason="ProgressDeadlineExceeded", message=LONG,
    )  # fmt: skip
    conditions = tuple(
        Condition(
            type=kind, status="Unknown", reason="ProgressDeadlineExceeded", message=LONG, last_transition_time=NOW
        )
        for kind in ConditionType
    )
    stages = tuple(_stage(stage) for stage in _RUN)
    version = VersionRef(version=_NAME, digest=DIGEST, since=NOW)
    return RefreshStatus(
        observed_generation=10**6,
        phase="AwaitingApproval",
        conditions=conditions,
        run=Run(
            id="0a1b2c3d4e", trigger=Trigger(kind=TriggerKind.ANNOTATION, detail=LONG), start_time=NOW, end_time=NOW,
            inputs=DIGEST, spec_generation=10**6, outcome=Outcome.ROLLED_BACK, reason="ProgressDeadlineExceeded",
            message=LONG, stage=Stage.EVALUATE, progress="100%", stages=stages,
        ),
        rollout=Rollout(target=version, start_time=NOW, applied=True, is_rollback=True),
        live=version,
        previous=version,
        candidate=version,
        stock=version,
        held=(DIGEST,) * 10,
        data_fingerprint=DIGEST,
        judged_inputs=DIGEST,
        retries=10**6,
        freshness="2026-11-22T00:00:00Z",
        last_handled_refresh=LONG,
        last_schedule_time=NOW,
        next_schedule_time=NOW,
        history=(entry,) * 10,
        cost=Cost(stages=tuple(StageCost(stage=stage, gpu_seconds=10**9) for stage in _RUN), tokens=10**12),
        sweep=Sweep(
            stage=_stage(Stage.SWEEP), runs=("0a1b2c3d4e",) * 100, versions=(DIGEST,) * 100, freed_bytes=10**13,
            total_bytes=10**14,
        ),
        last_failure=Failure(
            run="0a1b2c3d4e", stage=Stage.TRAIN, attempt=9, reason="OOM", exit_code=137, message=LONG, time=NOW,
            profile=DIGEST[:64],
        ),
    )  # fmt: skip
