"""`answered`: a toy metric in one file; the reply is not empty."""

from modelrefresh_jobs.evaluation.generation import Reply
from modelrefresh_jobs.evaluation.suites import Item


def score(_item: Item, reply: Reply) -> float:
    """1 or 0."""
    return float(bool(reply.text.strip()))
