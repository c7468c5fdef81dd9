"""Death before or after any single write of a run: the next pass goes on and the end is the same (Sieve, OSDI'22)."""

import pytest

from modelrefresh.contract.env import Stage
from tests.passes import world
from tests.passes.world import World


def _ended(place: World) -> tuple[str | None, str | None, int]:
    status = place.settle()
    return (status.run.outcome if status.run else None, place.served(), len(place.jobs()))


def _writes(difference: float) -> int:
    place = World()
    place.answers[Stage.EVALUATE] = world.scoring(difference)
    place.settle()
    return len(place.cluster.writes)


@pytest.mark.parametrize("difference", [0.2, -0.2], ids=["promoted", "rejected"])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_run_ends_the_same_whichever_write_the_operator_dies_at(difference: float, *, before: bool) -> None:
    untouched = World()
    untouched.answers[Stage.EVALUATE] = world.scoring(difference)
    expected = _ended(untouched)
    for number in range(1, _writes(difference) + 1):
        place = World()
        place.answers[Stage.EVALUATE] = world.scoring(difference)
        place.cluster.crash_at(number, before=before)
        assert _ended(place) == expected, f"write {number}"
