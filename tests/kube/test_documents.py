"""Owners, conditions and times of any object's document."""

import datetime

import pytest

from modelrefresh.kube import documents

OWNED = {"metadata": {"ownerReferences": [{"uid": "a"}, {"uid": "b", "controller": True}]}}
BARE: dict[str, dict[str, object]] = {"metadata": {}}


def test_an_object_belongs_to_each_of_its_owners() -> None:
    assert [documents.belongs_to(OWNED, uid) for uid in ("a", "b", "c")] == [True, True, False]


def test_only_one_of_them_controls_it() -> None:
    assert documents.controller(OWNED)["uid"] == "b"


def test_an_object_without_owners_belongs_to_nobody() -> None:
    assert (documents.belongs_to(BARE, "a"), documents.controller(BARE)) == (False, {})


@pytest.mark.parametrize("status", [{}, {"status": None}, {"status": {"conditions": None}}])
def test_an_object_without_conditions_has_none(status: dict[str, object]) -> None:
    assert documents.condition(BARE | status, "Ready") is None


@pytest.mark.parametrize(("wanted", "found"), [("True", False), ("False", True), (None, True)])
def test_a_condition_counts_by_its_status(wanted: str | None, *, found: bool) -> None:
    document = BARE | {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    assert (documents.condition(document, "Ready", wanted=wanted) is not None) is found


def test_a_time_of_the_api_is_read_with_its_zone() -> None:
    assert documents.time_of("2026-11-26T12:00:00Z") == datetime.datetime(2026, 11, 26, 12, tzinfo=datetime.UTC)
    assert documents.time_of(None) is None
