"""Metric `exact_match`: the answer equals the reply, or what the item's pattern finds in it, both normalised."""

from modelrefresh_jobs.evaluation import answers, patterns
from modelrefresh_jobs.evaluation.generation import Reply
from modelrefresh_jobs.evaluation.suites import Item


def score(item: Item, reply: Reply) -> float:
    """1 if so, else 0.

    Raises:
        StageError: EvaluationUnreadable, when the item's pattern takes too long to match.
    """
    wanted, given = answers.normalise(item.answer or ""), patterns.visible(reply)
    if item.pattern:
        given = patterns.found(item, given) or ""
    return float(bool(wanted) and answers.normalise(given) == wanted)
