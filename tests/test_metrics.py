"""Metrics of objects come and go with them."""

from collections.abc import Iterator

import pytest

from modelrefresh import gauges, metrics
from modelrefresh.api import names
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.api.status.run import Outcome
from modelrefresh.contract.vocabulary import Stage
from tests.plan.sights import NOW, a_meta, a_run

NEWS = {"namespace": "team-a", "name": "news"}
REFRESH = {"kind": names.REFRESH, **NEWS}


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    metrics.forget(**REFRESH)


def value(name: str, **labels: str) -> float | None:
    """A sample of the refresh news, or None."""
    return metrics.REGISTRY.get_sample_value(name, {**NEWS, **labels})


def test_a_condition_is_one_for_the_status_that_it_has() -> None:
    metrics.set_condition(kind="ModelRefresh", **NEWS, type_="Ready", status="True")
    metrics.set_condition(kind="ModelRefresh", **NEWS, type_="Ready", status="False")
    samples = {
        status: value("modelrefresh_condition", kind="ModelRefresh", type="Ready", status=status)
        for status in ("True", "False", "Unknown")
    }
    assert samples == {"True": 0.0, "False": 1.0, "Unknown": 0.0}


def test_a_new_live_version_takes_the_place_of_the_old_one() -> None:
    metrics.set_live(**NEWS, version="one")
    metrics.set_live(**NEWS, version="two")
    assert value("modelrefresh_live_version_info", version="one") is None
    assert value("modelrefresh_live_version_info", version="two") == 1.0


def test_scores_of_suites_that_are_gone_go_away() -> None:
    metrics.set_scores(**NEWS, scores=[("old", "exact_match", "candidate", 0.5)])
    metrics.set_scores(**NEWS, scores=[("new", "exact_match", "candidate", 0.7)])
    labels = {"metric": "exact_match", "role": "candidate"}
    assert value("modelrefresh_evaluation_score", suite="old", **labels) is None
    assert value("modelrefresh_evaluation_score", suite="new", **labels) == 0.7


def test_a_deleted_object_leaves_no_series() -> None:
    metrics.RUNS.labels("team-a", "news", "Promoted").inc()
    metrics.set_differences(**NEWS, differences=[("s", "exact_match", 0.1)])
    metrics.forget(**REFRESH)
    left = [
        sample
        for family in metrics.REGISTRY.collect()
        for sample in family.samples
        if NEWS.items() <= sample.labels.items()
    ]
    assert left == []


def test_a_replica_that_stands_by_keeps_its_counts_and_drops_what_may_be_outdated() -> None:
    metrics.RUNS.labels("team-a", "news", "Promoted").inc()
    metrics.set_live(**NEWS, version="one")
    metrics.stand_by()
    assert value("modelrefresh_live_version_info", version="one") is None
    assert value("modelrefresh_runs_total", outcome="Promoted") == 1.0


def test_a_residual_that_goes_takes_nothing_from_a_refresh_of_the_same_name() -> None:
    metrics.set_live(**NEWS, version="one")
    metrics.set_condition(**REFRESH, type_="Ready", status="True")
    metrics.set_condition(**REFRESH | {"kind": names.RESIDUAL}, type_="Ready", status="True")
    metrics.forget(**REFRESH | {"kind": names.RESIDUAL})
    kept = value("modelrefresh_condition", kind=names.REFRESH, type="Ready", status="True")
    gone = value("modelrefresh_condition", kind=names.RESIDUAL, type="Ready", status="True")
    assert (kept, gone, value("modelrefresh_live_version_info", version="one")) == (1.0, None, 1.0)


def a_pass(after: RefreshStatus) -> None:
    """A pass over the refresh news ended with this status."""
    gauges.refresh(a_meta(**NEWS), RefreshStatus(), after)


def test_counters_that_alerts_tell_of_are_there_before_they_count() -> None:
    a_pass(RefreshStatus())
    assert [value("modelrefresh_runs_total", outcome=word) for word in ("Failed", "RolledBack")] == [0.0, 0.0]


def test_a_date_that_is_none_ends_no_pass_and_is_no_metric() -> None:
    a_pass(RefreshStatus(freshness="the other day"))
    assert value("modelrefresh_data_newest_timestamp_seconds") is None


def test_a_run_has_its_start_while_it_is_open() -> None:
    a_pass(RefreshStatus(run=a_run(Stage.TRAIN)))
    assert value("modelrefresh_run_start_timestamp_seconds") == NOW.timestamp()
    a_pass(RefreshStatus(run=a_run(Stage.TRAIN).evolve(outcome=Outcome.FAILED)))
    assert value("modelrefresh_run_start_timestamp_seconds") is None
