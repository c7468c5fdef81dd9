"""What status records promise: bounded, cut instead of refused, the same after writing and reading."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrefresh.api.status import refresh, run, types
from modelrefresh.api.status.record import Record
from modelrefresh.api.status.refresh import RefreshStatus, VersionRef
from modelrefresh.api.status.run import Condition, Failure
from modelrefresh.api.status.stage_facts import MergeFacts
from modelrefresh.contract.vocabulary import Stage
from tests.api import fullest
from tests.api.fullest import DIGEST, LONG, NOW


def _needed(full: RefreshStatus) -> object:
    assert full.run is not None
    told = {"ignored_examples": None, "overlap": ()}
    prepared = [stage.prepare.evolve(**told) for stage in full.run.stages if stage.prepare]
    facts = [(stage.digest, prepared, stage.train, stage.merge) for stage in full.run.stages]
    scores = [stage.evaluate.scores for stage in full.run.stages if stage.evaluate]
    conditions = [(item.type, item.status, item.last_transition_time) for item in full.conditions]
    return facts, scores, conditions, full.live, full.previous, full.held


def test_the_fullest_status_sets_every_field_there_is() -> None:
    full = fullest.refresh_status()
    assert full.run is not None
    assert full.model_fields_set == RefreshStatus.model_fields.keys()
    assert full.run.model_fields_set == run.Run.model_fields.keys()
    assert all(stage.model_fields_set == run.StageRecord.model_fields.keys() for stage in full.run.stages)


def test_the_fullest_status_is_brought_below_its_limit() -> None:
    full = fullest.refresh_status()
    assert refresh.size(full) > refresh.SIZE_LIMIT
    assert refresh.size(refresh.fit(full)) <= refresh.SIZE_LIMIT


def test_fitting_keeps_what_later_passes_need() -> None:
    full, fitted = fullest.refresh_status(), refresh.fit(fullest.refresh_status())
    assert _needed(fitted) == _needed(full)


def test_fitting_leaves_an_ordinary_status_alone() -> None:
    ordinary = RefreshStatus(held=(DIGEST,), history=fullest.refresh_status().history[:3])
    assert refresh.fit(ordinary) is ordinary


def test_a_status_reads_back_as_it_was_written() -> None:
    full = refresh.fit(fullest.refresh_status())
    assert RefreshStatus.read(full.render()) == full


def test_an_absent_status_reads_as_an_empty_one() -> None:
    assert RefreshStatus.read(None) == RefreshStatus()


def test_fields_of_a_newer_operator_are_passed_over() -> None:
    assert RefreshStatus.read({"observedGeneration": 3, "mood": "good"}).observed_generation == 3


def test_times_are_written_as_kubernetes_writes_them() -> None:
    assert VersionRef(version="v", digest="d", since=NOW).render()["since"] == "2026-11-22T12:30:15Z"


def test_measures_are_written_with_four_decimals() -> None:
    assert MergeFacts(digest="d", drift=0.123456).drift == "0.1235"


@pytest.mark.parametrize("kind", [Condition, Failure])
def test_a_long_line_keeps_its_beginning_where_object_and_cause_stand(kind: type[Record]) -> None:
    message = message_of(kind, "begin" + LONG)
    assert message.startswith("begin")
    assert message.endswith("…")


@pytest.mark.parametrize("kind", [Condition, Failure])
def test_a_long_log_keeps_its_first_and_last_lines(kind: type[Record]) -> None:
    message = message_of(kind, f"exit code 1\n{'noise of the library' * 20}\n{LOG}ValueError: the cause")
    assert message.startswith("exit code 1↵…↵")
    assert message.endswith("↵ValueError: the cause")


LOG = "".join(f"step {number} of many\n" for number in range(500))


def message_of(kind: type[Record], text: str) -> str:
    """The message as this kind of record keeps it."""
    if kind is Failure:
        return Failure(run="r", stage=Stage.TRAIN, attempt=1, reason="R", message=text, time=NOW).message
    return Condition(type="Ready", status="True", reason="R", message=text, last_transition_time=NOW).message


@given(
    lines=st.lists(st.text(alphabet="abc äß", max_size=60), max_size=30),
    limit=st.integers(16, 300),
)
def test_an_excerpt_is_short_and_made_of_whole_lines_but_for_marked_ones(lines: list[str], limit: int) -> None:
    text = "\n".join(lines)
    cut = types.excerpt(text, limit)
    assert len(cut) <= limit
    assert all(line in lines or line.endswith("…") for line in cut.split("\n")) or cut == text
    assert cut == text or "…" in cut
