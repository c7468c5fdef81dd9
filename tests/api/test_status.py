"""What status records promise: bounded, cut instead of refused, the same after writing and reading."""

import pytest

from modelrefresh.api import records, status
from modelrefresh.api.records import Condition, Failure, MergeFacts
from modelrefresh.api.status import RefreshStatus, VersionRef
from modelrefresh.contract.env import Stage
from tests.api import fullest
from tests.api.fullest import DIGEST, LONG, NOW


def _needed(full: RefreshStatus) -> object:
    assert full.run is not None
    told = {"ignored_examples": None, "overlap": ()}
    prepared = [stage.prepare.but(**told) for stage in full.run.stages if stage.prepare]
    facts = [(stage.digest, prepared, stage.train, stage.merge) for stage in full.run.stages]
    scores = [stage.evaluate.scores for stage in full.run.stages if stage.evaluate]
    conditions = [(item.type, item.status, item.last_transition_time) for item in full.conditions]
    return facts, scores, conditions, full.live, full.previous, full.held


def test_the_fullest_status_sets_every_field_there_is() -> None:
    full = fullest.refresh_status()
    assert full.run is not None
    assert full.model_fields_set == RefreshStatus.model_fields.keys()
    assert full.run.model_fields_set == records.Run.model_fields.keys()
    assert all(stage.model_fields_set == records.StageRecord.model_fields.keys() for stage in full.run.stages)


def test_the_fullest_status_is_brought_below_its_limit() -> None:
    full = fullest.refresh_status()
    assert status.size(full) > status.SIZE_LIMIT
    assert status.size(status.fit(full)) <= status.SIZE_LIMIT


def test_fitting_keeps_what_later_passes_need() -> None:
    full, fitted = fullest.refresh_status(), status.fit(fullest.refresh_status())
    assert _needed(fitted) == _needed(full)


def test_fitting_leaves_an_ordinary_status_alone() -> None:
    ordinary = RefreshStatus(held=(DIGEST,), history=fullest.refresh_status().history[:3])
    assert status.fit(ordinary) is ordinary


def test_a_status_reads_back_as_it_was_written() -> None:
    full = status.fit(fullest.refresh_status())
    assert status.read(RefreshStatus, status.render(full)) == full


def test_an_absent_status_reads_as_an_empty_one() -> None:
    assert status.read(RefreshStatus, None) == RefreshStatus()


def test_fields_of_a_newer_operator_are_passed_over() -> None:
    assert status.read(RefreshStatus, {"observedGeneration": 3, "mood": "good"}).observed_generation == 3


def test_times_are_written_as_kubernetes_writes_them() -> None:
    assert status.render(VersionRef(version="v", digest="d", since=NOW))["since"] == "2026-11-22T12:30:15Z"


def test_measures_are_written_with_four_decimals() -> None:
    assert MergeFacts(digest="d", drift=0.123456).drift == "0.1235"


@pytest.mark.parametrize(("kind", "kept"), [(records.Condition, "begin"), (Failure, "end")])
def test_long_messages_are_cut_where_they_say_least(kind: type[records.Record], kept: str) -> None:
    text = "begin" + LONG + "end"
    if kind is Failure:
        message = Failure(run="r", stage=Stage.TRAIN, attempt=1, reason="R", message=text, time=NOW).message
    else:
        message = Condition(type="Ready", status="True", reason="R", message=text, last_transition_time=NOW).message
    assert kept in message
    assert "…" in message
