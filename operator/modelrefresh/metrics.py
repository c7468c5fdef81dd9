"""All metrics of the operator; docs/metrics.md lists them for people.

Knows names, labels and which series die with an object. Labels come from closed sets or
from objects that exist: `forget()` removes the series of a deleted object. What a status
means is for `reconcile.py`, which calls the functions here with plain values.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from modelrefresh.api import names

# A second series for each counter, saying when it was made, helps nobody here.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()

_OBJECT = ("namespace", "name")
_LONG = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0)
_SHORT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

RUNS = Counter("modelrefresh_runs", "Finished runs by outcome.", (*_OBJECT, "outcome"), registry=REGISTRY)
STAGE_ATTEMPTS = Counter(
    "modelrefresh_stage_attempts",
    "Finished attempts by stage and reason.",
    (*_OBJECT, "stage", "reason"),
    registry=REGISTRY,
)
STAGE_SECONDS = Histogram(
    "modelrefresh_stage_duration_seconds",
    "Time from start to end of an attempt.",
    ("stage",),
    buckets=_LONG,
    registry=REGISTRY,
)
GPU_SECONDS = Counter(
    "modelrefresh_gpu_seconds", "GPU seconds held by attempts.", (*_OBJECT, "stage"), registry=REGISTRY
)
TOKENS = Counter("modelrefresh_trained_tokens", "Tokens trained on.", _OBJECT, registry=REGISTRY)
SCORE = Gauge(
    "modelrefresh_evaluation_score",
    "Newest score by suite, metric and role (candidate or incumbent).",
    (*_OBJECT, "suite", "metric", "role"),
    registry=REGISTRY,
)
DIFFERENCE = Gauge(
    "modelrefresh_evaluation_difference",
    "Newest mean of the paired differences, candidate minus incumbent.",
    (*_OBJECT, "suite", "metric"),
    registry=REGISTRY,
)
LIVE = Gauge(
    "modelrefresh_live_version_info", "1 for the version that serves.", (*_OBJECT, "version"), registry=REGISTRY
)
LIVE_SINCE = Gauge(
    "modelrefresh_live_version_since_timestamp_seconds",
    "When the serving version became live; its age is time() minus this.",
    _OBJECT,
    registry=REGISTRY,
)
DATA_NEWEST = Gauge(
    "modelrefresh_data_newest_timestamp_seconds",
    "Date of the newest document that the live version has learnt.",
    _OBJECT,
    registry=REGISTRY,
)
CONDITION = Gauge(
    "modelrefresh_condition",
    "1 for the status (True, False, Unknown) that a condition has.",
    ("kind", *_OBJECT, "type", "status"),
    registry=REGISTRY,
)
ACTIVE = Gauge("modelrefresh_run_active", "1 while a run is open.", _OBJECT, registry=REGISTRY)
RUN_START = Gauge(
    "modelrefresh_run_start_timestamp_seconds",
    "When the open run was opened; absent without one.",
    _OBJECT,
    registry=REGISTRY,
)

QUEUE_DEPTH = Gauge("modelrefresh_queue_depth", "Objects that wait for a worker.", registry=REGISTRY)
QUEUE_SECONDS = Histogram(
    "modelrefresh_queue_latency_seconds", "Time from due to taken.", buckets=_SHORT, registry=REGISTRY
)
PASS_SECONDS = Histogram(
    "modelrefresh_pass_duration_seconds",
    "Duration of one pass over one object by kind and result.",
    ("kind", "result"),
    buckets=_SHORT,
    registry=REGISTRY,
)
API_SECONDS = Histogram(
    "modelrefresh_api_request_duration_seconds",
    "Requests to the API server by verb, kind and answer (HTTP status, or 'none' without one).",
    ("verb", "kind", "code"),
    buckets=_SHORT,
    registry=REGISTRY,
)
LEADER = Gauge("modelrefresh_leader", "1 while this replica holds the Lease.", registry=REGISTRY)
RESYNC_TIME = Gauge(
    "modelrefresh_resync_timestamp_seconds",
    "When every kind was last listed; a lost namespace does not hold it back.",
    registry=REGISTRY,
)
RESYNC_REFUSED = Gauge(
    "modelrefresh_resync_refused",
    "1 while a kind cannot be listed in a namespace (empty: in the whole cluster).",
    ("kind", "namespace"),
    registry=REGISTRY,
)
KOPF_RESTARTS = Counter("modelrefresh_kopf_restarts", "Restarts of the event watcher.", registry=REGISTRY)

_GAUGES = (SCORE, DIFFERENCE, LIVE, LIVE_SINCE, DATA_NEWEST, ACTIVE, RUN_START)
_OF_REFRESH = (RUNS, STAGE_ATTEMPTS, GPU_SECONDS, TOKENS, *_GAUGES)
_STATUSES = ("True", "False", "Unknown")


def set_condition(*, kind: str, namespace: str, name: str, type_: str, status: str) -> None:
    """Record the status that one condition has now."""
    for known in _STATUSES:
        CONDITION.labels(kind, namespace, name, type_, known).set(known == status)


def set_live(*, namespace: str, name: str, version: str | None) -> None:
    """Record which version serves; its predecessor's series goes away."""
    LIVE.remove_by_labels({"namespace": namespace, "name": name})
    if version is not None:
        LIVE.labels(namespace, name, version).set(1)


def set_run_start(*, namespace: str, name: str, moment: float | None) -> None:
    """Record when the open run was opened, as seconds since the epoch; None for no open run."""
    if moment is None:
        RUN_START.remove_by_labels({"namespace": namespace, "name": name})
    else:
        RUN_START.labels(namespace, name).set(moment)


def set_scores(*, namespace: str, name: str, scores: Iterable[tuple[str, str, str, float]]) -> None:
    """Record the newest scores as (suite, metric, role, value); those of suites left out go away."""
    SCORE.remove_by_labels({"namespace": namespace, "name": name})
    for suite, metric, role, value in scores:
        SCORE.labels(namespace, name, suite, metric, role).set(value)


def set_differences(*, namespace: str, name: str, differences: Iterable[tuple[str, str, float]]) -> None:
    """Record the newest differences as (suite, metric, value); those of suites left out go away."""
    DIFFERENCE.remove_by_labels({"namespace": namespace, "name": name})
    for suite, metric, value in differences:
        DIFFERENCE.labels(namespace, name, suite, metric).set(value)


def forget(*, kind: str, namespace: str, name: str) -> None:
    """Remove all series of a deleted object; one of another kind may have the same name."""
    CONDITION.remove_by_labels({"kind": kind, "namespace": namespace, "name": name})
    if kind == names.REFRESH:
        for metric in _OF_REFRESH:
            metric.remove_by_labels({"namespace": namespace, "name": name})


def stand_by() -> None:
    """Remove what only the leader knows to be true now; counters go on counting what this replica did."""
    for metric in (CONDITION, *_GAUGES):
        metric.clear()
