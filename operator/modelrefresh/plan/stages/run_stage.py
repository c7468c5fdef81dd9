"""What the file of a stage says of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from modelrefresh.api.spec import RefreshSpec
from modelrefresh.api.status.run import Run, StageRecord
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.observed import ReadyRefresh


class UnusableSummaryError(Exception):
    """A summary says what cannot be; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Pods of a stage's Job."""

    gpus: int = 0
    """Per pod."""
    nodes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStage:
    """A stage of a run."""

    name: Stage
    ask: Callable[[ReadyRefresh, Run], object]
    """What an attempt that begins now is asked: the stage's input."""
    found: Callable[[StageRecord, Any, RefreshSpec], dict[str, Any]]
    """Fields of the stage's record that its summary fills; UnusableSummaryError where it cannot be used."""
    note: Callable[[Any], dict[str, Any]] = lambda _: {}
    """Fields of the stage's record that keep what an attempt was asked, from its input."""
    size: Callable[[RefreshSpec], Size] = lambda _: Size()
    wanted: Callable[[RefreshSpec], bool] = lambda _: True
    """Whether a run of this spec has the stage."""
    is_cheap: bool = False
    """Of little cost: if it fails the operator tries again by itself, slowly; a mended file is not an event."""
