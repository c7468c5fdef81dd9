"""Text from outside that would draw on a terminal, forge a line or hide one: escaped before people see it."""

import datetime
import io
import logging
import pathlib

import pytest

from modelrefresh import errors
from modelrefresh.api.run_status import Condition, Failure, StageRecord, StageState
from modelrefresh.cluster import events
from modelrefresh.contract import printable
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.corpus.reading import data_files
from modelrefresh_jobs.process import errors as failures
from modelrefresh_jobs.process import log_lines
from modelrefresh_jobs.process.progress import Progress
from tests import builders
from tests.attacks.catalogue import attack

BY = "whoever names a file, or writes what a stage reads"
NOW = datetime.datetime(2026, 11, 26, tzinfo=datetime.UTC)
FORGED = "b\nSTATUS: Promoted\x1b[2J\x1b[31mred\u202egnp\u200b\x85\u2028x.jsonl"
UNSEEN = [
    "\n",
    "\r",
    "\x1b",
    "\x00",
    "\x7f",
    "\x85",
    "\x9b",
    "\u202e",
    "\u200b",
    "\u2028",
    "\ufeff",
    "\ud800",
    "\U000e0041",
]


def clean(text: str) -> bool:
    """Whether it is one line of which everything is seen."""
    return all(character.isprintable() for character in text)


@attack(43, does="control, bidi and unseen characters in any text", by=BY, ends="contained: escaped")
@pytest.mark.parametrize("character", UNSEEN, ids=ascii)
def test_what_is_not_seen_is_escaped(character: str) -> None:
    assert clean(printable.line(f"a{character}b"))


REFUSED = [*"\n\r\t\x00\x1b\x7f\x85\x9b\xa0\xad", "\u061c", "\u180e", "\u2003", "\u202e", "\u200b", "\u2028", "\u3000"]
REFUSED += ["\ue000", "\ufeff", "\ufffa", "\U000e0041"]


@attack(6, does="the same characters before the second reader of a spec", by=BY, ends="refused: both readers agree")
@pytest.mark.parametrize("character", REFUSED, ids=ascii)
@pytest.mark.parametrize(("path", "text"), [("spec.data.uri", "pvc://corpus/a{}b"), ("spec.data.textField", "a{}b")])
def test_the_operator_refuses_what_the_server_refuses(character: str, path: str, text: str) -> None:
    with pytest.raises(errors.SpecError, match=path):
        builders.refresh_spec({path: text.format(character)})


@attack(6, does="ordinary letters of any script in a spec", by="an honest user", ends="taken")
@pytest.mark.parametrize("name", ["größer", "数据", "a b", "e\u0301", "\U0001f600"])
def test_a_spec_may_hold_letters_of_any_script(name: str) -> None:
    assert builders.refresh_spec({"spec.data.textField": name}).data.text_field == name


@attack(43, does="ordinary letters of any script", by="an honest user", ends="as they are")
@pytest.mark.parametrize("text", ["größer", "数据", "Ωμέγα", "a-b_c.jsonl", "e\u0301", "\U0001f600"])
def test_what_is_seen_stays(text: str) -> None:
    assert printable.line(text) == text


@attack(
    43,
    does="a forged line in the name of a file",
    by=BY,
    ends="contained: escaped in messages, warnings, names and logs",
)
def test_a_name_forges_no_line_of_a_stage(tmp_path: pathlib.Path) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(log_lines.Formatter("%(levelname)s %(message)s"))
    handler.emit(logging.LogRecord("tests", logging.WARNING, __file__, 1, "read %s", (FORGED,), None))
    position = Progress(stage="prepare")
    position.warn(FORGED)
    (tmp_path / "x\nSTATUS: Promoted.csv").touch()
    told = [str(failures.StageError("DataUnreadable", FORGED)), *position.warnings, stream.getvalue().rstrip("\n")]
    told.append(data_files.find(tmp_path).examples() or "")
    assert [text for text in told if not clean(text)] == []


@attack(
    43,
    does="a forged line in what a pod says",
    by="a stage that was taken over",
    ends="contained: escaped in status and events",
)
def test_a_message_forges_no_line_of_a_status() -> None:
    condition = Condition(type="Ready", status="True", reason="R", message=FORGED, last_transition_time=NOW)
    failure = Failure(run="r", stage=Stage.TRAIN, attempt=1, reason="R", message=FORGED, time=NOW)
    stage = StageRecord(name=Stage.TRAIN, state=StageState.RUNNING, message=FORGED, warnings=(FORGED,))
    assert all(clean(text) for text in (condition.message, failure.message, stage.message, *stage.warnings))


@attack(43, does="a forged line in an event", by="a stage that was taken over", ends="contained: escaped")
def test_a_message_forges_no_line_of_an_event() -> None:
    event = events.Event(kind="ModelRefresh", namespace="n", name="n", uid="u", reason="R", message=FORGED)
    assert clean(events.document(event, now=NOW)["message"])
