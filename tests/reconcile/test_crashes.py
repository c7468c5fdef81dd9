"""Death before or after any single write of a run: the next pass goes on and the end is the same (Sieve, OSDI'22)."""

from collections.abc import Callable

import pytest

from modelrefresh.contract.vocabulary import Stage
from tests.reconcile import world
from tests.reconcile.world import STOCK, World


class Stubborn(World):
    """A world whose Deployment becomes available with the stock model only."""

    def play(self) -> None:
        """Let the rollout settle or not by what it is to serve."""
        self.rollouts = self.served() in (None, STOCK)
        super().play()


def _scored(difference: float) -> World:
    place = World()
    place.answers[Stage.EVALUATE] = world.scoring(difference)
    return place


def _ended(place: World) -> tuple[str | None, str | None, int]:
    """Outcome, served digest and number of Jobs, after every deadline has passed."""
    place.settle()
    status = place.wait(1300)
    return (status.run.outcome if status.run else None, place.served(), len(place.jobs()))


WORLDS: dict[str, Callable[[], World]] = {
    "Promoted": lambda: _scored(0.2),
    "Rejected": lambda: _scored(-0.2),
    "RolledBack": Stubborn,
}


@pytest.mark.parametrize("outcome", WORLDS)
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_run_ends_the_same_whichever_write_the_operator_dies_at(outcome: str, *, before: bool) -> None:
    untouched = WORLDS[outcome]()
    expected = _ended(untouched)
    assert expected[0] == outcome
    for number in range(1, len(untouched.cluster.writes) + 1):
        place = WORLDS[outcome]()
        place.cluster.crash_at(number, before=before)
        assert _ended(place) == expected, f"write {number}"
