"""Where a rollout stands: facts about the Deployment, and the table that gives them one name.

The first row that holds is the state; their order is part of the meaning. `rollout.advance` does what the state
calls for; docs/rules.md shows the table.
"""

import datetime
import enum
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from modelrefresh.api.status.refresh import RefreshStatus, Rollout, VersionRef
from modelrefresh.api.status.run import StageState
from modelrefresh.contract import artifacts
from modelrefresh.plan.observed import ObservedVersion, ServedRefresh
from modelrefresh.plan.rollout import trial

_OURS = re.compile(rf".*/{artifacts.VERSIONS}/[0-9a-f]{{64}}")
"""What MODELREFRESH_MODEL says where the operator has set it."""


class RolloutState(enum.StrEnum):
    """Where a rollout stands."""

    AVAILABLE = "Available"
    UNDONE_BY_USER = "UndoneByUser"
    HINDERED = "Hindered"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    CONFLICT = "Conflict"
    OVERDUE = "Overdue"
    PROGRESSING = "Progressing"
    NOT_APPLIED = "NotApplied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the state depends on, and nothing else."""

    loads: bool
    """The container loads the version."""
    settled: bool
    """Every replica is updated and available."""
    proven: bool
    """There are replicas, or nothing needs to be shown: the stock model, or a way back."""
    applied: bool
    """The Deployment has named the version before."""
    other: bool
    """It names another version of this refresh that may serve."""
    hindered: bool
    """Something outside keeps the version from being tried."""
    late: bool
    """It has been tried for longer than the deadline."""
    replaceable: bool
    """There is a live version to go back to, or a run that ends without it; and this is not the way back itself."""
    foreign: bool
    """Something else says what the container loads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the table."""

    state: RolloutState
    holds: Callable[[Facts], bool]
    when: str
    then: str


TABLE: Final = (
    Row(
        state=RolloutState.AVAILABLE,
        holds=lambda facts: facts.loads and facts.settled and facts.proven,
        when="the container loads the version and every replica is updated and available",
        then="it is live: Promoted",
    ),
    Row(
        state=RolloutState.UNDONE_BY_USER,
        holds=lambda facts: facts.applied and facts.other,
        when="the Deployment named the version, and names another one of this refresh now",
        then="RolledBack, and the version is held",
    ),
    Row(
        state=RolloutState.HINDERED,
        holds=lambda facts: facts.loads and facts.hindered,
        when="a pause, a quota, a missing node or image, or no replicas keep it from being tried",
        then="wait; no time counts",
    ),
    Row(
        state=RolloutState.DEADLINE_EXCEEDED,
        holds=lambda facts: facts.late and facts.replaceable,
        when="it was tried for `progressDeadlineSeconds` and `minReadySeconds`, and is a run's candidate, "
        "or something was live before",
        then="RolledBack, and the Deployment goes back to what was live; it is left as it is where nothing was",
    ),
    Row(
        state=RolloutState.CONFLICT,
        holds=lambda facts: facts.foreign,
        when="something else sets MODELREFRESH_MODEL to what is no version",
        then="stalled until that is taken away",
    ),
    Row(
        state=RolloutState.OVERDUE,
        holds=lambda facts: facts.late,
        when="it was tried for too long, and is version zero with nothing to go back to, or the way back itself",
        then="stalled; it is still waited for",
    ),
    Row(
        state=RolloutState.NOT_APPLIED,
        holds=lambda facts: not facts.loads,
        when="the container does not load the version yet",
        then="point it there",
    ),
    Row(
        state=RolloutState.PROGRESSING,
        holds=lambda _: True,
        when="otherwise",
        then="wait",
    ),
)


def find(facts: Facts) -> RolloutState:
    """The state of the first row that holds."""
    return next(row.state for row in TABLE if row.holds(facts))


def facts_of(served: ServedRefresh, rollout: Rollout, now: datetime.datetime) -> Facts:
    """Read what the table asks about; `rollout` as `clocked` gives it."""
    named = served.target.digest == rollout.to.digest
    return Facts(
        loads=is_loaded(served, rollout.to),
        settled=served.target.settled,
        proven=not trial.is_unproven(served, rollout),
        applied=rollout.applied,
        other=not named and chosen(served) is not None,
        hindered=rollout.hindered,
        late=rollout.applied and (now - rollout.start_time).total_seconds() > trial.allowed_seconds(served),
        replaceable=not rollout.is_rollback and (served.status.live is not None or is_of_run(served.status)),
        foreign=named and is_foreign(served),
    )


def clocked(served: ServedRefresh, rollout: Rollout, now: datetime.datetime) -> Rollout:
    """The rollout with its clock set: time counts from when the Deployment names the version, less all hindrances."""
    loads = is_loaded(served, rollout.to)
    if loads and trial.hindrance(served, rollout) is not None:
        return rollout.evolve(applied=True, hindered=True)
    begins = loads and served.target.observed and not rollout.applied
    if begins or rollout.hindered:
        return rollout.evolve(applied=True, hindered=False, start_time=now)
    # Beyond now, where the clock was put back.
    return rollout.evolve(start_time=min(rollout.start_time, now))


def is_of_run(status: RefreshStatus) -> bool:
    """The rollout under way is that of the open run's candidate."""
    rollout, is_open = status.rollout, status.run is not None and status.run.outcome is None
    return is_open and rollout is not None and not rollout.is_rollback and status.candidate == rollout.to


def chosen(served: ServedRefresh) -> ObservedVersion | None:
    """The version that the Deployment names, if it may serve: judged, and not in a sweep that has not ended well."""
    sweep = served.status.sweep
    going = sweep.versions if sweep is not None and sweep.stage.state is not StageState.SUCCEEDED else ()
    found = (item for item in served.versions if item.passed and item.digest not in going)
    return next((item for item in found if item.digest == served.target.digest), None)


def is_loaded(served: ServedRefresh, to: VersionRef) -> bool:
    """The Deployment names the version, and its container loads it from something that is mounted.

    Not only from where the workspace is mounted now: it may be the claim that was the workspace before the profile
    changed.
    """
    said = served.target.models.get(served.container, "")
    loads = said.endswith(f"/{artifacts.VERSIONS}/{to.digest}") and served.container not in served.target.dangling
    return loads and served.target.digest == to.digest


def is_foreign(served: ServedRefresh) -> bool:
    """The container is told to load something that is no version of ours."""
    said = served.target.models.get(served.container)
    return said is not None and not _OURS.fullmatch(said)
