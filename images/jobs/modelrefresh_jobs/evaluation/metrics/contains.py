"""Metric `contains`: the normalised answer occurs in the normalised reply as whole words."""

import regex  # type: ignore[import-untyped]

from modelrefresh_jobs.evaluation import answers, patterns
from modelrefresh_jobs.evaluation.generation import Reply
from modelrefresh_jobs.evaluation.suites import Item


def score(item: Item, reply: Reply) -> float:
    """1 if so, else 0."""
    wanted, given = answers.normalise(item.answer or ""), answers.normalise(patterns.visible(reply))
    return float(bool(wanted) and regex.search(rf"(?<!\w){regex.escape(wanted)}(?!\w)", given) is not None)
