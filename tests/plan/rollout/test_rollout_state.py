"""The table of a rollout's states, over all facts that there can be."""

import dataclasses
import itertools
from collections.abc import Iterator

import pytest

from modelrefresh.plan.rollout import rollout_state
from modelrefresh.plan.rollout.rollout_state import Facts, RolloutState

NAMES = [field.name for field in dataclasses.fields(Facts)]
WAITING = {RolloutState.PROGRESSING, RolloutState.NOT_APPLIED, RolloutState.OVERDUE}


def worlds(**given: bool) -> Iterator[tuple[Facts, RolloutState]]:
    """All facts in which these hold, each with its state."""
    for values in itertools.product((False, True), repeat=len(NAMES)):
        facts = dict(zip(NAMES, values, strict=True))
        if all(facts[name] is value for name, value in given.items()):
            yield Facts(**facts), rollout_state.find(Facts(**facts))


def test_every_state_has_one_row_and_some_facts_lead_to_it() -> None:
    assert sorted(row.state for row in rollout_state.TABLE) == sorted(RolloutState)
    assert {state for _, state in worlds()} == set(RolloutState)


@pytest.mark.parametrize("lack", ["loads", "settled", "proven"])
def test_nothing_is_available_that_is_not_loaded_settled_and_proven(lack: str) -> None:
    assert RolloutState.AVAILABLE not in {state for _, state in worlds(**{lack: False})}


def test_a_hindered_rollout_never_runs_out_of_time() -> None:
    assert RolloutState.DEADLINE_EXCEEDED not in {state for _, state in worlds(loads=True, hindered=True)}


def test_a_way_back_is_never_taken_back_by_the_deadline() -> None:
    assert RolloutState.DEADLINE_EXCEEDED not in {state for _, state in worlds(replaceable=False)}


def test_before_the_deployment_named_the_version_nobody_can_have_undone_it() -> None:
    assert RolloutState.UNDONE_BY_USER not in {state for _, state in worlds(applied=False)}


def test_a_foreign_variable_is_never_fought_over() -> None:
    assert WAITING & {state for _, state in worlds(foreign=True)} == set()
