"""One model asked one suite: its replies, and the figures of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelrefresh.contract.vocabulary import Task
from modelrefresh_jobs.evaluation import generation, scoring, suites
from modelrefresh_jobs.process.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What one model said to one suite."""

    replies: Sequence[generation.Reply]
    figures: Sequence[Mapping[str, float]]
    """By metric, of each reply."""


def ask(chat: generation.Chat, task: Task, items: Sequence[suites.Item], *, limit: int, progress: Progress) -> Answers:
    """Ask all items; `limit` is the most tokens of an answer."""
    replies = chat.answer([item.question for item in items], max_new_tokens=limit, progress=progress)
    pairs = zip(items, replies, strict=True)
    return Answers(replies=replies, figures=[scoring.score(task, item, reply) for item, reply in pairs])
