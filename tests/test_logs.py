"""Log lines."""

import json
import logging
import sys

from modelrefresh import logs


def line(message: str = "done", *, exc_info: bool = False) -> dict[str, str]:
    """One line as it is written now."""
    info = sys.exc_info() if exc_info else None
    record = logging.LogRecord("modelrefresh.x", logging.INFO, __file__, 1, message, (), info)
    rendered = logs.JsonFormatter().format(record)
    assert "\n" not in rendered
    parsed: dict[str, str] = json.loads(rendered)
    return parsed


def test_a_line_is_one_json_object() -> None:
    assert {"level": "info", "logger": "modelrefresh.x", "message": "done"}.items() <= line().items()


def test_a_line_names_the_object_that_is_worked_on() -> None:
    with logs.about(logs.Subject(kind="ModelRefresh", namespace="team-a", name="news", stage="train")):
        inside = line()
    assert (inside["kind"], inside["namespace"], inside["name"], inside["stage"]) == (
        "ModelRefresh",
        "team-a",
        "news",
        "train",
    )
    assert "run" not in inside
    assert "kind" not in line()


def test_a_traceback_stays_on_its_line() -> None:
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        assert "ZeroDivisionError: division by zero" in line(exc_info=True)["traceback"]
