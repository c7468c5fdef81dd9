"""Scoring of a reply: from an item and a reply to one score, 0-1, for each metric of the suite's task.

`contract/metrics.py` says which metrics a task has; the file of a metric's name in `metrics/` scores it.
"""

import importlib
from typing import Protocol, cast

from modelrefresh.contract import metrics
from modelrefresh.contract.vocabulary import Task
from modelrefresh_jobs.evaluation.generation import Reply
from modelrefresh_jobs.evaluation.suites import Item


class Scorer(Protocol):
    """The interface of a metric's module."""

    def score(self, item: Item, reply: Reply) -> float:
        """The score of the reply, 0-1."""


def scorer(metric: str) -> Scorer:
    """The module that scores a metric."""
    return cast("Scorer", importlib.import_module(f"modelrefresh_jobs.evaluation.metrics.{metric}"))


def score(task: Task, item: Item, reply: Reply) -> dict[str, float]:
    """The scores of one reply, 0-1, by metric.

    Raises:
        StageError: EvaluationUnreadable, when the item's pattern takes too long to match.
    """
    return {metric: scorer(metric).score(item, reply) for metric in metrics.of(task)}
