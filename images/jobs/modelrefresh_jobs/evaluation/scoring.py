"""What a reply is worth: from an item and a reply to one figure between 0 and 1 for each metric of the suite's task.

Which metrics a task yields says `contract/metrics.py`; the file of a metric's name in `metrics/` scores it.
"""

import importlib
from typing import Protocol, cast

from modelrefresh.contract import metrics
from modelrefresh.contract.vocabulary import Task
from modelrefresh_jobs.evaluation.generation import Reply
from modelrefresh_jobs.evaluation.suites import Item


class Scorer(Protocol):
    """What a metric's module offers."""

    def score(self, item: Item, reply: Reply) -> float:
        """What the reply is worth, 0 to 1."""


def scorer(metric: str) -> Scorer:
    """The module that scores a metric."""
    return cast("Scorer", importlib.import_module(f"modelrefresh_jobs.evaluation.metrics.{metric}"))


def score(task: Task, item: Item, reply: Reply) -> dict[str, float]:
    """The figures of one reply, by metric.

    Raises:
        StageError: EvaluationUnreadable, when the item's pattern takes too long to match.
    """
    return {metric: scorer(metric).score(item, reply) for metric in metrics.of(task)}
