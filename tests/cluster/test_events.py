"""Events for people."""

import asyncio
import datetime as dt
import logging

import pytest

from modelrefresh import errors
from modelrefresh.cluster import events
from modelrefresh.cluster.events import Event
from modelrefresh.kube import kinds
from tests.fakes.cluster import START, FakeCluster


def emit(cluster: FakeCluster, *, message: str = "the candidate serves", now: dt.datetime = START) -> None:
    """Write one event about a refresh."""
    event = Event(kind="ModelRefresh", namespace="team-a", name="news", uid="1", reason="Promoted", message=message)
    asyncio.run(events.emit(cluster, event, now=now))


def test_an_event_names_its_object_and_its_reason() -> None:
    cluster = FakeCluster()
    emit(cluster)
    (found,) = cluster.all(kinds.EVENT)
    assert (found["involvedObject"]["name"], found["reason"], found["type"]) == ("news", "Promoted", "Normal")


def test_the_same_event_again_renews_its_time() -> None:
    cluster = FakeCluster()
    emit(cluster)
    emit(cluster, now=START + dt.timedelta(hours=1))
    (found,) = cluster.all(kinds.EVENT)
    assert (found["firstTimestamp"], found["lastTimestamp"]) == ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z")


def test_another_message_is_another_event() -> None:
    cluster = FakeCluster()
    emit(cluster)
    emit(cluster, message="another candidate serves")
    assert len(cluster.all(kinds.EVENT)) == 2


def test_a_long_message_is_cut_to_what_the_server_takes() -> None:
    cluster = FakeCluster()
    emit(cluster, message="x" * 5000)
    assert len(cluster.all(kinds.EVENT)[0]["message"]) == 1024


def test_an_event_that_cannot_be_written_is_logged_and_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    cluster = FakeCluster()
    cluster.fail("create", kinds.EVENT, errors.ForbiddenError("403"))
    with caplog.at_level(logging.WARNING):
        emit(cluster)
    assert "event Promoted on ModelRefresh news was not written: 403" in caplog.text


def test_no_event_is_written_without_the_lease() -> None:
    cluster = FakeCluster()

    def refuse() -> None:
        raise errors.NotLeaderError("lost")

    cluster.fence = refuse
    with pytest.raises(errors.NotLeaderError):
        emit(cluster)
