"""Metric `follows`: the whole reply matches the item's pattern, and a stop token ended it."""

from modelrefresh_jobs.evaluation import patterns
from modelrefresh_jobs.evaluation.generation import Reply
from modelrefresh_jobs.evaluation.suites import Item


def score(item: Item, reply: Reply) -> float:
    """1 if so, else 0.

    Raises:
        StageError: EvaluationUnreadable, when the item's pattern takes too long to match.
    """
    return float(reply.stopped and patterns.is_whole(item, patterns.visible(reply)))
