"""What counts as the date of a document."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as some

from modelrefresh_jobs.corpus.reading import dates

TODAY = dt.date(2026, 11, 26)
MOMENT = "2023-11-14T22:13:20+00:00"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-01", "2026-01-01T00:00:00+00:00"),
        (" 2026-01-01T12:00:00+02:00 ", "2026-01-01T10:00:00+00:00"),
        ("2026-01-01 10:00:00.5 UTC", "2026-01-01T10:00:00.500000+00:00"),
        ("20260101", "2026-01-01T00:00:00+00:00"),
        ("20260101101112", "2026-01-01T10:11:12+00:00"),
        (dt.date(2026, 1, 1), "2026-01-01T00:00:00+00:00"),
        (1_700_000_000, MOMENT),
        (1_700_000_000.0, MOMENT),
        (1_700_000_000_000, MOMENT),
        (1_700_000_000_000_000, MOMENT),
        (1_700_000_000_000_000_000, MOMENT),
    ],
)
def test_iso_texts_and_numbers_since_1970_are_dates(value: object, expected: str) -> None:
    found = dates.parse(value)
    assert found is not None
    assert found.isoformat() == expected


@pytest.mark.parametrize(
    "value",
    [
        *("yesterday", "", "26 Nov 2026", None, True, [], {}, b"2026", 2026, 20_260_101, -1, 0, 10**400),
        *(float("nan"), float("inf"), "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-05:00"),
    ],
)
def test_anything_else_is_no_date(value: object) -> None:
    assert dates.parse(value) is None


@pytest.mark.parametrize(
    ("value", "plausible"),
    [
        *(("2026-11-26T23:59:59Z", True), ("2026-11-27", False), ("9999-12-31", False)),
        *(("0001-01-01", False), ("1850-06-01", True), ("1970-01-01", True)),
    ],
)
def test_no_document_is_newer_than_its_intake_or_of_the_year_one(value: str, *, plausible: bool) -> None:
    found = dates.parse(value)
    assert found is not None
    assert dates.is_plausible(found, today=TODAY) is plausible


@given(some.integers(min_value=10**9, max_value=2 * 10**9), some.sampled_from([1, 10**3, 10**6, 10**9]), some.data())
def test_a_number_written_as_text_is_the_same_moment(whole: int, unit: int, draw: some.DataObject) -> None:
    number = whole * unit + draw.draw(some.integers(min_value=0, max_value=unit - 1))
    assert dates.parse(str(number)) == dates.parse(number)
    assert dates.parse(number) is not None


def test_milliseconds_as_text_are_no_time_of_the_eighteenth_century() -> None:
    found = dates.parse("1704011512345")
    assert found is not None
    assert found.date() == dt.date(2023, 12, 31)


@given(some.one_of(some.text(), some.integers(), some.floats(), some.datetimes(), some.dates(), some.booleans()))
def test_no_value_is_too_odd_to_ask(value: object) -> None:
    found = dates.parse(value)
    assert found is None or found.tzinfo is dt.UTC


@given(some.datetimes(timezones=some.just(dt.UTC)))
def test_seconds_and_text_are_the_same_moment(moment: dt.datetime) -> None:
    whole = moment.replace(microsecond=0)
    assert dates.text(dates.seconds(moment)) == whole.isoformat()
