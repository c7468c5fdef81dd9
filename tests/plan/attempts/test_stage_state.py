"""The table of a stage's states: what may happen, and that nothing else writes a state."""

import ast

import pytest

from modelrefresh.api.status.run import StageRecord, StageState
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.attempts import stage_state
from modelrefresh.plan.attempts.stage_state import TRANSITIONS, StageEvent
from tests.policy import checkout

AT_WORK = (StageState.QUEUED, StageState.RUNNING)


def test_every_state_is_reached_and_every_event_has_a_place() -> None:
    assert {StageState.WAITING, *TRANSITIONS.values()} == set(StageState)
    assert {event for _, event in TRANSITIONS} == set(StageEvent)


@pytest.mark.parametrize("event", [StageEvent.SUCCEED, StageEvent.RETRY, StageEvent.GIVE_UP, StageEvent.STOP])
def test_an_attempt_ends_once(event: StageEvent) -> None:
    assert {state for state, known in TRANSITIONS if known is event} == set(AT_WORK)
    assert all(TRANSITIONS[state, event] not in AT_WORK for state in AT_WORK)


def test_what_succeeded_is_never_begun_again_without_a_reason() -> None:
    assert {event for state, event in TRANSITIONS if state is StageState.SUCCEEDED} == {StageEvent.REPEAT}


def test_an_event_that_cannot_be_is_a_fault_of_the_software() -> None:
    with pytest.raises(KeyError):
        stage_state.move(StageRecord(name=Stage.TRAIN), StageEvent.SUCCEED)


def test_no_other_file_writes_a_state() -> None:
    writers = [
        checkout.name(path)
        for path in checkout.production_files()
        for node in ast.walk(checkout.tree(path))
        if isinstance(node, ast.keyword) and node.arg == "state" and "StageState" in ast.unparse(node.value)
    ]
    assert writers == []
