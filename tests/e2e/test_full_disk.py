"""The workspace has no room when training is over: told as such, tried again, and over when there is room."""

import collections
import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from modelrefresh.contract import artifacts
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.vocabulary import Stage
from tests.e2e import disk, run, standstill
from tests.e2e.place import Document, Place
from tests.jobs import builders

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

_SHORT: Final[dict[str, object]] = {"spec.training.epochs": "1"}
_FIRST_PAUSE_SECONDS: Final = 5
_POLL_SECONDS: Final = 0.3
"""What is told of a failure stands there until the next attempt, which comes after five seconds at first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """What was seen when a stage had found no room."""

    status: Document
    served: str | None
    drafts: list[str]
    """Versions on the workspace that are not whole."""


@pytest.fixture(scope="module")
def place(new_place: Callable[[str], Place], pair: builders.Pair) -> Iterator[Place]:
    with disk.small(new_place("disk")) as made:
        made.furnish(pair)
        made.wait(lambda: run.stored(made), "the residual to be stored")
        yield made


@pytest.fixture(scope="module")
def full(place: Place) -> Full:
    """The disk is full before the merge begins."""
    barrier = standstill.before(Stage.MERGE, place, _SHORT)
    barrier.await_stage()
    seen: list[Document] = []

    def failed() -> bool:
        seen.append(place.status())
        merged = run.stage(seen[-1], Stage.MERGE)
        return bool(merged["disruptions"]) and merged["state"] == "Waiting"

    with disk.filled(place):
        barrier.lift()
        place.wait(failed, "the merge to fail", poll=_POLL_SECONDS)
        drafts = [path.name for path in (place.folder / artifacts.VERSIONS).glob(".*")]
    return Full(status=seen[-1], served=place.served(), drafts=drafts)


@pytest.fixture(scope="module")
def freed(place: Place, full: Full) -> Document:
    """There is room again, and nobody tells the operator."""
    assert full.status["run"].get("outcome") is None
    return run.ended(place)


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def test_a_full_disk_is_told_as_the_reason_of_the_stage(full: Full) -> None:
    merged = run.stage(full.status, Stage.MERGE)
    assert (merged["state"], merged["reason"]) == ("Waiting", "InsufficientStorage")


def test_a_full_disk_is_the_last_failure(full: Full) -> None:
    failure = full.status["lastFailure"]
    told = (failure["stage"], failure["reason"], failure["exitCode"])
    assert told == ("merge", "InsufficientStorage", ExitCode.TRANSIENT)


def test_a_person_is_told_what_to_do_about_a_full_disk(full: Full) -> None:
    advice = "free space, enlarge the claim or lower spec.retain.versions"
    assert advice in full.status["lastFailure"]["message"]
    assert advice in run.condition(full.status, "Reconciling")["message"]


def test_it_is_told_when_a_stage_that_found_no_room_is_tried_again(full: Full) -> None:
    message = run.condition(full.status, "Reconciling")["message"]
    assert "failed (InsufficientStorage: " in message
    assert "; again at " in message


def test_a_full_disk_keeps_no_half_written_version(full: Full) -> None:
    assert full.drafts == []


def test_a_full_disk_does_not_change_what_serves(full: Full) -> None:
    assert full.served == full.status["stock"]["digest"]


def test_a_stage_that_found_no_room_waits_before_it_tries_again(place: Place, full: Full, freed: Document) -> None:
    merged = run.stage(full.status, Stage.MERGE)
    jobs = place.items("jobs", stage=Stage.MERGE, run=freed["run"]["id"])
    [following] = [job for job in jobs if job["metadata"]["name"].endswith(f"-{merged['attempt'] + 1}")]
    waited = _moment(following["metadata"]["creationTimestamp"]) - _moment(merged["endTime"])
    assert waited.total_seconds() >= _FIRST_PAUSE_SECONDS


def test_a_run_goes_on_by_itself_when_there_is_room(place: Place, freed: Document) -> None:
    assert freed["run"]["outcome"] == "Promoted"
    assert place.served() == freed["candidate"]["digest"]


def test_only_the_stage_that_found_no_room_ran_again(place: Place, freed: Document) -> None:
    merged = run.stage(freed, Stage.MERGE)
    assert merged["attempt"] == merged["disruptions"] + 1 > 1
    assert merged["failures"] == 0
    jobs = collections.Counter(stage for stage, _ in run.attempts(place, freed["run"]["id"]))
    assert jobs == {"import": 1, "prepare": 1, "train": 1, "merge": merged["attempt"], "evaluate": 1}


def test_a_failure_that_is_over_is_not_told_any_more(freed: Document) -> None:
    assert freed.get("lastFailure") is None
    assert run.condition(freed, "Ready")["reason"] == "Promoted"
