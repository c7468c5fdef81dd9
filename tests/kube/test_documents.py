"""Owners, conditions and times of any object's document."""

import datetime

import pytest

from modelrefresh.kube import documents

OWNED = {"metadata": {"ownerReferences": [{"uid": "a"}, {"uid": "b", "controller": True}]}}
BARE: dict[str, dict[str, object]] = {"metadata": {}}
NULL: dict[str, dict[str, object]] = {"metadata": {"ownerReferences": None}}


def test_an_object_belongs_to_each_of_its_owners() -> None:
    assert [documents.belongs_to(OWNED, uid) for uid in ("a", "b", "c")] == [True, True, False]


def test_only_one_of_them_controls_it() -> None:
    assert documents.controller(OWNED)["uid"] == "b"


@pytest.mark.parametrize("document", [BARE, NULL], ids=["absent", "null"])
def test_an_object_without_owners_belongs_to_nobody(document: dict[str, dict[str, object]]) -> None:
    assert (documents.belongs_to(document, "a"), documents.controller(document)) == (False, {})


def test_an_owner_that_does_not_say_so_controls_nothing() -> None:
    assert (
        documents.controller({"metadata": {"ownerReferences": [{"uid": "a"}, {"uid": "b", "controller": False}]}}) == {}
    )


@pytest.mark.parametrize("status", [{}, {"status": None}, {"status": {"conditions": None}}])
def test_an_object_without_conditions_has_none(status: dict[str, object]) -> None:
    assert documents.condition(BARE | status, "Ready") is None


@pytest.mark.parametrize(("wanted", "found"), [("True", False), ("False", True), (None, True)])
def test_a_condition_counts_by_its_status(wanted: str | None, *, found: bool) -> None:
    document = BARE | {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    assert (documents.condition(document, "Ready", wanted=wanted) is not None) is found


@pytest.mark.parametrize("text", ["2026-11-26T12:00:00Z", "2026-11-26T12:00:00.000000Z"], ids=["Time", "MicroTime"])
def test_a_time_of_the_api_is_read_with_its_zone(text: str) -> None:
    assert documents.time_of(text) == datetime.datetime(2026, 11, 26, 12, tzinfo=datetime.UTC)


def test_an_absent_time_is_none() -> None:
    assert documents.time_of(None) is None
