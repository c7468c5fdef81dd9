"""Who leads, and until when."""

import asyncio

import pytest

from modelrefresh import errors
from modelrefresh.kube import kinds
from modelrefresh.kube.port import Document
from modelrefresh.runtime.lease import Elector, LeaseTerms
from tests.fakes.cluster import FakeCluster
from tests.runtime.clocks import Clock


def elector(cluster: FakeCluster, clock: Clock, identity: str = "one") -> Elector:
    """A replica that may take the Lease."""
    terms = LeaseTerms(namespace="system", name="modelrefresh", identity=identity)
    return Elector(cluster, terms, clock=clock, wall=clock.wall)


def lease(cluster: FakeCluster) -> Document:
    """The Lease's spec."""
    found = cluster.peek(kinds.LEASE, namespace="system", name="modelrefresh")
    assert found is not None
    return dict(found["spec"])


def hand_over(cluster: FakeCluster, identity: str) -> None:
    """Another replica takes the Lease."""
    place = {"namespace": "system", "name": "modelrefresh"}
    cluster.edit(kinds.LEASE, lambda found: found["spec"].update(holderIdentity=identity), **place)


def step(*electors: Elector) -> None:
    """Each replica looks at the Lease once, in this order."""
    for one in electors:
        asyncio.run(one.step())


def test_the_first_replica_creates_the_lease_and_leads() -> None:
    cluster = FakeCluster()
    one = elector(cluster, Clock())
    step(one)
    assert one.leads()
    assert lease(cluster)["holderIdentity"] == "one"


def test_nobody_leads_before_looking() -> None:
    with pytest.raises(errors.NotLeaderError):
        elector(FakeCluster(), Clock()).fence()


def test_a_second_replica_stands_by() -> None:
    cluster, clock = FakeCluster(), Clock()
    one, two = elector(cluster, clock), elector(cluster, clock, "two")
    step(one, two)
    assert (one.leads(), two.leads()) == (True, False)


def test_a_leader_that_renews_keeps_the_lease_for_ever() -> None:
    cluster, clock = FakeCluster(), Clock()
    one, two = elector(cluster, clock), elector(cluster, clock, "two")
    for _ in range(30):
        step(one, two)
        clock.at += 2
    assert (one.leads(), two.leads()) == (True, False)
    assert lease(cluster)["leaseTransitions"] == 0


def test_a_standby_takes_over_when_the_lease_has_not_changed_for_its_duration() -> None:
    cluster, clock = FakeCluster(), Clock()
    one, two = elector(cluster, clock), elector(cluster, clock, "two")
    step(one, two)
    clock.at += 14.9
    step(two)
    assert not two.leads()
    clock.at += 0.2
    step(two)
    assert two.leads()
    assert lease(cluster)["leaseTransitions"] == 1


def test_a_leader_stops_writing_before_another_may_take_over() -> None:
    clock = Clock()
    one = elector(FakeCluster(), clock)
    step(one)
    clock.at += 9.9
    assert one.fence() == pytest.approx(5.1)
    clock.at += 0.2
    with pytest.raises(errors.NotLeaderError, match="not surely held by one"):
        one.fence()


def test_the_term_counts_from_before_the_request_that_renewed_it() -> None:
    cluster, clock = FakeCluster(), Clock()
    one = elector(cluster, clock)

    def slow(_: object) -> None:
        clock.at += 4

    cluster.before_write = slow
    step(one)
    assert one.fence() == pytest.approx(11)


def test_an_outage_leaves_the_term_to_its_end() -> None:
    cluster, clock = FakeCluster(), Clock()
    one = elector(cluster, clock)
    step(one)
    cluster.fail("patch", kinds.LEASE, errors.UnavailableError("down"), times=100)
    clock.at += 5
    with pytest.raises(errors.UnavailableError):
        step(one)
    assert one.leads()
    clock.at += 5.1
    assert not one.leads()


def test_a_leader_that_finds_another_holder_stops_at_once() -> None:
    cluster, clock = FakeCluster(), Clock()
    one = elector(cluster, clock)
    step(one)
    hand_over(cluster, "two")
    step(one)
    assert not one.leads()


def test_a_replica_that_is_overtaken_while_it_takes_over_does_not_lead() -> None:
    cluster, clock = FakeCluster(), Clock()
    one, two = elector(cluster, clock), elector(cluster, clock, "two")
    step(one, two)
    clock.at += 16
    cluster.before_write = lambda _: hand_over(cluster, "three")
    with pytest.raises(errors.ConflictError):
        step(two)
    assert not two.leads()


def test_a_released_lease_is_taken_at_once() -> None:
    cluster, clock = FakeCluster(), Clock()
    one, two = elector(cluster, clock), elector(cluster, clock, "two")
    step(one, two)
    asyncio.run(one.release())
    step(two)
    assert (one.leads(), two.leads()) == (False, True)


def test_a_standby_releases_nothing() -> None:
    cluster, clock = FakeCluster(), Clock()
    one, two = elector(cluster, clock), elector(cluster, clock, "two")
    step(one, two)
    asyncio.run(two.release())
    assert lease(cluster)["holderIdentity"] == "one"


def test_each_new_term_is_announced_once() -> None:
    async def scenario() -> int:
        one = elector(FakeCluster(), Clock())
        announced: list[None] = []
        one.on_lead = lambda: announced.append(None)
        running = asyncio.create_task(one.run())
        await asyncio.sleep(0.05)
        running.cancel()
        return len(announced)

    assert asyncio.run(scenario()) == 1
