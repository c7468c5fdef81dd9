"""What a look at the cluster saw, for tests: a healthy refresh, changed by keyword."""

import dataclasses
import datetime
from typing import Any, Final

from modelrefresh.api.status.refresh import RefreshStatus, VersionRef
from modelrefresh.api.status.run import Run, StageRecord, StageState, Trigger, TriggerKind
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan import prerequisites
from modelrefresh.plan.attempts.stage_results import AttemptContext
from modelrefresh.plan.observed import (
    JobState,
    Meta,
    ObservedJob,
    ObservedRefresh,
    ObservedResidual,
    ObservedTarget,
    ObservedVersion,
)
from modelrefresh.plan.stages import order, stage_records
from tests import builders

NOW: Final = datetime.datetime(2026, 11, 23, 12, 0, tzinfo=datetime.UTC)
STOCK: Final = "5" * 64
NEWER: Final = "7" * 64
RESIDUAL: Final = "e" * 64


def a_meta(**change: Any) -> Meta:  # noqa: ANN401 -- any field
    """A ModelRefresh that was seen before."""
    meta = Meta(namespace="team-a", name="news", uid="u1", generation=1, finalizer=True, created=NOW)
    return dataclasses.replace(meta, **change)


def a_deployment(**change: Any) -> ObservedTarget:  # noqa: ANN401
    """A Deployment at rest that serves the stock model."""
    deployment = ObservedTarget(
        kind="Deployment",
        name="chat",
        uid="d1",
        containers=("server",),
        mounts={"server": "/models"},
        allowed=frozenset({"*"}),
        holder="u1",
        digest=STOCK,
        models={},
        settled=True,
    )
    deployment = dataclasses.replace(deployment, **change)
    told = {} if deployment.digest is None else {"server": f"/models/versions/{deployment.digest}"}
    return dataclasses.replace(deployment, models=change.get("models", told))


def a_context(*, now: datetime.datetime = NOW) -> AttemptContext:
    """Three attempts, and the gates of the builders' spec."""
    spec = builders.refresh_spec()
    return AttemptContext(
        attempts=3, now=now, found=lambda record, summary: order.of(record.name).found(record, summary, spec)
    )


def a_residual(**change: Any) -> ObservedResidual:  # noqa: ANN401
    """A stored residual of the right base."""
    residual = ObservedResidual(
        name="instruct",
        ready=True,
        digest=RESIDUAL,
        base="pvc://models/base",
        instruct="pvc://models/instruct",
        message="stored",
    )
    return dataclasses.replace(residual, **change)


def a_version(digest: str = STOCK, **change: Any) -> ObservedVersion:  # noqa: ANN401
    """A version that passed."""
    version = ObservedVersion(
        name=f"news-{digest[:8]}", uid=digest[:4], digest=digest, run="r0", passed=True, served=False, created=NOW
    )
    return dataclasses.replace(version, **change)


def a_ref(digest: str = STOCK) -> VersionRef:
    """The same as a reference."""
    return VersionRef(version=f"news-{digest[:8]}", digest=digest, since=NOW)


def a_status(**change: Any) -> RefreshStatus:  # noqa: ANN401
    """Version zero serves, no run was opened yet."""
    return RefreshStatus(stock=a_ref(), live=a_ref()).evolve(**change)


def a_run(stage: Stage | None = None, **change: Any) -> Run:  # noqa: ANN401
    """A run whose stages up to this one (without it) have succeeded."""
    names = [one.name for one in order.records(builders.refresh_spec(), is_first=False)]
    done = names.index(stage) if stage else 0
    states = [StageState.SUCCEEDED] * done + [StageState.WAITING] * len(names)
    records = tuple(
        StageRecord(name=name, state=state, attempt=int(state is StageState.SUCCEEDED))
        for name, state in zip(names, states, strict=False)
    )
    run = Run(
        id="r1",
        trigger=Trigger(kind=TriggerKind.FIRST_SIGHT),
        start_time=NOW,
        inputs=inputs_of(),
        spec_generation=1,
        stages=records,
    )
    return run.evolve(**change)


def at_work(stage: Stage, **change: Any) -> RefreshStatus:  # noqa: ANN401
    """A status whose run has this stage running in its first attempt."""
    run = a_run(stage)
    current = run.record(stage)
    assert current is not None
    running = current.evolve(**{"state": StageState.RUNNING, "attempt": 1, "gpus": 1, **change})
    return a_status(run=stage_records.put(run, running))


def a_job(stage: Stage = Stage.TRAIN, **change: Any) -> ObservedJob:  # noqa: ANN401
    """The running Job of a run's first attempt."""
    job = ObservedJob(
        name=f"news-r1-{stage}-1",
        uid="j1",
        run="r1",
        stage=stage,
        attempt=1,
        state=JobState.RUNNING,
        profile="p1",
        started=NOW,
    )
    return dataclasses.replace(job, **change)


def a_sight(edits: dict[str, object] | None = None, **change: Any) -> ObservedRefresh:  # noqa: ANN401
    """A refresh with all its prerequisites; `edits` change its spec."""
    observed = ObservedRefresh(
        meta=a_meta(),
        spec=builders.refresh_spec(edits),
        status=a_status(),
        profile=builders.profile_spec(),
        profile_hash="p1",
        residual=a_residual(),
        versions=(a_version(served=True),),
        target=a_deployment(),
    )
    return dataclasses.replace(observed, **change)


def inputs_of(edits: dict[str, object] | None = None) -> str:
    """Hash of what a run of this spec works on."""
    return prerequisites.inputs(builders.refresh_spec(edits), residual=RESIDUAL)
