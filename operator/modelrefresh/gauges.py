"""From what a pass wrote to the metrics: the only reader of a status on their behalf."""

import datetime

from modelrefresh import metrics
from modelrefresh.api import names
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.api.status.residual import ResidualStatus
from modelrefresh.api.status.run import Outcome, Run, StageRecord
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.observed import Meta
from modelrefresh.runtime.queue import Key


def refresh(meta: Meta, before: RefreshStatus, after: RefreshStatus) -> None:
    """Set the gauges of a ModelRefresh and count what ended in this pass."""
    place = {"namespace": meta.namespace, "name": meta.name}
    for condition in after.conditions:
        metrics.set_condition(kind=names.REFRESH, type_=condition.type, status=condition.status, **place)
    metrics.set_live(version=after.live.version if after.live else None, **place)
    metrics.ACTIVE.labels(*place.values()).set(after.run is not None and after.run.outcome is None)
    if after.live and after.live.since:
        metrics.LIVE_SINCE.labels(*place.values()).set(after.live.since.timestamp())
    if (newest := _timestamp(after.freshness)) is not None:
        metrics.DATA_NEWEST.labels(*place.values()).set(newest)
    open_since = after.run.start_time if after.run is not None and after.run.outcome is None else None
    metrics.set_run_start(moment=open_since.timestamp() if open_since else None, **place)
    for outcome in (Outcome.FAILED, Outcome.ROLLED_BACK):
        # Of these alerts tell: a counter that is there at zero shows its first increment, and that it was reset.
        metrics.RUNS.labels(*place.values(), outcome.value)
    if after.run is not None:
        _scores(after.run, **place)
        _count(before.run if before.run and before.run.id == after.run.id else None, after.run, **place)


def residual(meta: Meta, _before: ResidualStatus, after: ResidualStatus) -> None:
    """Set the gauges of an InstructionResidual."""
    for condition in after.conditions:
        metrics.set_condition(
            kind=names.RESIDUAL,
            namespace=meta.namespace,
            name=meta.name,
            type_=condition.type,
            status=condition.status,
        )


def forget(key: Key) -> None:
    """The object is gone, and so are its series."""
    metrics.forget(kind=key.kind, namespace=key.namespace, name=key.name)


def _timestamp(text: str | None) -> float | None:
    """Seconds of a date that a stage wrote; None for what is none: a metric must not end a pass."""
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp() if text else None
    except ValueError:
        return None


def _scores(run: Run, *, namespace: str, name: str) -> None:
    measured = run.record(Stage.EVALUATE)
    if measured is None or measured.evaluate is None:
        return
    scores = measured.evaluate.scores
    roles = [(item, role, getattr(item, role)) for item in scores for role in ("candidate", "incumbent")]
    metrics.set_scores(
        namespace=namespace,
        name=name,
        scores=[(item.suite, item.metric, role, float(value)) for item, role, value in roles if value is not None],
    )
    metrics.set_differences(
        namespace=namespace,
        name=name,
        differences=[
            (item.suite, item.metric, float(item.difference)) for item in scores if item.difference is not None
        ],
    )


def _count(before: Run | None, after: Run, *, namespace: str, name: str) -> None:
    if after.outcome is not None and (before is None or before.outcome is None):
        metrics.RUNS.labels(namespace, name, after.outcome.value).inc()
    for stage in after.stages:
        old = (before.record(stage.name) if before else None) or StageRecord(name=stage.name)
        # An attempt that was stopped by a person has no end of its own, but it held its GPUs.
        if held := stage.gpu_seconds - old.gpu_seconds:
            metrics.GPU_SECONDS.labels(namespace, name, stage.name.value).inc(held)
        if stage.end_time is None or stage.end_time == old.end_time:
            continue
        metrics.STAGE_ATTEMPTS.labels(namespace, name, stage.name.value, stage.reason or "").inc()
        if stage.start_time is not None:
            metrics.STAGE_SECONDS.labels(stage.name.value).observe((stage.end_time - stage.start_time).total_seconds())
        if stage.train and not old.train:
            metrics.TOKENS.labels(namespace, name).inc(stage.train.tokens)
